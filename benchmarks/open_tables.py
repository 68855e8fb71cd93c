"""`kit new NAME --from DIR` then `kit train NAME`, with no edit, beside scikit-learn's histogram boosting with its defaults.

    python benchmarks/open_tables.py TABLES [NAME ...]

TABLES holds for each table a folder with train.csv, test.csv and sample_submission.csv, beside it NAME.answers.csv, and tables.json
with each table's target and metric. Answers grade what is finished. Prints a row a table: both out of fold and both on the answers
(scikit-learn on all training rows), in the same process environment; skips what `open_tables.json` in the current folder has.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from kit.scoring import Metric


def peer(folder: Path, target: str, metric: Metric, answers: Path) -> float:
    """Histogram boosting as most would call it: ids left out, text as categories (its limit is 255 of them: beyond, as numbers)."""
    train, test = pd.read_csv(folder / "train.csv", keep_default_na=True), pd.read_csv(folder / "test.csv")
    truth = pd.read_csv(answers).set_index("id").loc[test["id"]][target]
    y, x, xt = train[target], train.drop(columns=["id", target]), test.drop(columns=["id"])
    for name in x.select_dtypes(exclude="number"):
        levels = sorted(x[name].dropna().astype(str).unique())
        for frame in (x, xt):
            frame[name] = pd.Categorical(frame[name].astype(str).where(frame[name].notna()), categories=levels)
        if len(levels) > 255:
            x[name], xt[name] = x[name].cat.codes, xt[name].cat.codes
    needs = metric.module.needs
    if needs == "value":
        return metric.module.score(truth.to_numpy(float), np.maximum(HistGradientBoostingRegressor(random_state=0).fit(x, y).predict(xt), 0 if metric.space else -np.inf))
    model = HistGradientBoostingClassifier(random_state=0).fit(x, y.astype(str))
    classes = list(model.classes_)
    if needs == "label":
        return metric.module.score(truth.astype(str).to_numpy(), model.predict(xt))
    p = model.predict_proba(xt)
    return metric.module.score(np.array([classes.index(str(t)) for t in truth]), p[:, 1] if len(classes) == 2 else p)


def kit(folder: Path, name: str, metric: str, answers: Path) -> dict:
    begun = time.monotonic()
    call = [sys.executable, "-m", "kit"]
    subprocess.run([*call, "new", name, "--from", str(folder), f"score.metric={metric}"], check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    done = subprocess.run([*call, "train", name], check=True, capture_output=True, text=True)
    submission = Path(done.stdout.splitlines()[-1])
    info = json.loads((submission.parent / "run.json").read_text())
    graded = subprocess.run([*call, "score", name, str(submission), str(answers)], check=True, capture_output=True, text=True)
    return {
        "oof": info["score"]["mean"], "constant": info["constant"], "answers": float(graded.stdout), "better": info["greater_is_better"],
        "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    known = json.loads((options.tables / "tables.json").read_text())
    kept = Path("open_tables.json")
    results = json.loads(kept.read_text()) if kept.exists() else {}
    print("| table | metric | constant, out of fold | kit, out of fold | kit, answers | histogram boosting, answers | kit ahead | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for name in options.names or known:
        if name not in results:
            folder, answers = (options.tables / name).resolve(), (options.tables / f"{name}.answers.csv").resolve()
            metric = known[name]["metric"]
            found = kit(folder, name, metric, answers)
            found["peer"] = peer(folder, known[name]["target"], Metric.open(metric, {}), answers)
            results[name] = found
            kept.write_text(json.dumps(results, indent=1))
        r = results[name]
        ahead = (r["answers"] > r["peer"]) == r["better"]
        print(
            f"| {name} | {known[name]['metric']} | {r['constant']:.4f} | {r['oof']:.4f} | {r['answers']:.4f} | {r['peer']:.4f} | {'yes' if ahead else 'no'} | {r['seconds']} |",
            flush=True,
        )
    print(f"kit ahead on {sum((r['answers'] > r['peer']) == r['better'] for r in results.values())} of {len(results)}")


if __name__ == "__main__":
    main()
