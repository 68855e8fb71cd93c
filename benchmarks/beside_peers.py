"""`kit train --budget` on open tables beside AutoGluon, FLAML and plain LightGBM, each with the same seconds and in an environment of its own.

    python benchmarks/beside_peers.py TABLES [NAME ...] --seconds 120 [--autogluon PYTHON] [--flaml PYTHON] [--lightgbm PYTHON]

TABLES holds for each table a folder with train.csv, test.csv and sample_submission.csv, beside it NAME.answers.csv, and tables.json
with each table's target and metric. PYTHON is the interpreter of an environment that has that peer. A peer gets the two files and the
metric; seconds are of its whole process, reading and importing included. kit gets the folder (`kit new NAME --from DIR`), and for each
table the portfolio that ships, or its steps in another order (--portfolio, a JSON file: table -> labels of the steps that come first).
Answers grade what is finished. Prints a row a table and mean ranks, and keeps `beside_peers.jsonl` in the current folder: what it
holds is not run again.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent.resolve()
SPENT = """
import json, os, sys, time
began = time.monotonic()
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line has it
from pathlib import Path
from kit import budget
from kit.competition import open_competition
from kit.fitting import Says
from kit.portfolio import TABLES, portfolio
name, seconds, first = sys.argv[1], float(sys.argv[2]), ["constant", *json.loads(sys.argv[3])]
opened = open_competition(name)
there = {s.label for s in portfolio(opened)}  # what is not installed is no step
chosen = sorted((s for s in TABLES if s.label in there), key=lambda s: first.index(s.label) if s.label in first else len(first)) if len(first) > 1 else None
print(budget.spend(name, opened.data(None, False), Says(print), seconds=seconds, began=began, steps=chosen))
"""  # in a file of its own, as processes that fork want it


def home_of(name: str, seconds: float, busy: int) -> Path:
    """A folder for each: runs that one of them stopped are not gone on with by another."""
    return Path("beside") / (f"{name}-{seconds:.0f}" + (f"-busy{busy}" if busy else ""))


def kit(home: Path, folder: Path, name: str, metric: str, seconds: float, first: list[str]) -> dict:
    home.mkdir(parents=True, exist_ok=True)
    call = [sys.executable, "-m", "kit"]
    if not (home / "competitions" / name).is_dir():
        subprocess.run([*call, "new", name, "--from", str(folder), f"score.metric={metric}"], check=True, capture_output=True, cwd=home)
    began = time.monotonic()
    script = home / "spend.py"
    script.write_text(SPENT)
    done = subprocess.run([sys.executable, script.name, name, str(seconds), json.dumps(first)], capture_output=True, text=True, cwd=home)
    took = time.monotonic() - began
    if done.returncode:
        return {"seconds": took, "failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else str(done.returncode)}
    submission = home / done.stdout.splitlines()[-1]
    info = json.loads((submission.parent / "run.json").read_text())
    return {"seconds": took, "submission": str(submission), "oof": info["score"]["mean"], "said": done.stdout.splitlines()[:-1]}


def peer(who: str, python: str, folder: Path, target: str, metric: str, seconds: float) -> dict:
    kept = Path("beside") / f"{folder.name}-{who}-{seconds:.0f}.csv"
    kept.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        call = [python, str(HERE / "peers" / f"with_{who}.py"), str(folder), target, metric, str(seconds), str(kept.resolve())]
        done = subprocess.run(call, capture_output=True, text=True, cwd=scratch)
    took = time.monotonic() - began
    if done.returncode:
        return {"seconds": took, "failed": done.stderr.strip().splitlines()[-1][:200]}
    return {"seconds": took, "submission": str(kept)}


def graded(home: Path, name: str, submission: str, answers: Path) -> float:
    """By kit's reading of the answers, the same for all."""
    call = [sys.executable, "-m", "kit", "score", name, str(Path(submission).resolve()), str(answers)]
    return float(subprocess.run(call, check=True, capture_output=True, text=True, cwd=home).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seconds", type=float, nargs="+", default=[120.0])
    parser.add_argument("--portfolio", type=Path, help="a JSON file: for each table the steps that come first")
    parser.add_argument("--busy", type=int, default=0, help="other busy processes while each runs")
    for who in ("autogluon", "flaml", "lightgbm"):
        parser.add_argument(f"--{who}", metavar="PYTHON")
    options = parser.parse_args()
    known = json.loads((options.tables / "tables.json").read_text())
    first = json.loads(options.portfolio.read_text()) if options.portfolio else {}
    peers = {who: python for who in ("autogluon", "flaml", "lightgbm") if (python := getattr(options, who))}
    kept = Path("beside_peers.jsonl")
    results = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for seconds in options.seconds:
        for name in options.names or known:
            folder, answers = (options.tables / name).resolve(), (options.tables / f"{name}.answers.csv").resolve()
            for who in ("kit", *peers):
                key = {"table": name, "who": who, "budget": seconds, "busy": options.busy}
                if any(all(r[k] == v for k, v in key.items()) for r in results):
                    continue
                with Busy(options.busy):
                    metric, target = known[name]["metric"], known[name]["target"]
                    found = kit(home_of(name, seconds, options.busy), folder, name, metric, seconds, first.get(name, [])) if who == "kit" else peer(who, peers[who], folder, target, metric, seconds)
                if "submission" in found:
                    found["answers"] = graded(home_of(name, seconds, options.busy), name, found["submission"], answers)
                results.append({**key, **found})
                with kept.open("a") as out:
                    out.write(json.dumps(results[-1]) + "\n")
                print(f"{name:<12}{who:<11}{seconds:4.0f} s: took {found['seconds']:6.1f}  {found.get('answers', found.get('failed'))}", flush=True)
    for seconds in options.seconds:
        table([r for r in results if r["budget"] == seconds and r["busy"] == options.busy], known, ["kit", *peers])


class Busy:
    """Processes that only count, as long as it lasts."""

    def __init__(self, many: int):
        self.many, self.running = many, []

    def __enter__(self) -> None:
        self.running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.many)]

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.kill()
            process.wait()


def table(results: list[dict], known: dict, who: list[str]) -> None:
    """Rows of answers, the best one bold; ranks where all are there, one that failed being the last."""
    greater = {"auc", "average_precision", "f1_macro"}
    print(f"\n| table | metric | {' | '.join(who)} | kit out of fold | kit's seconds |\n|---|---|{'---|' * (len(who) + 2)}")
    ranks, ahead, over = [], dict.fromkeys(who[1:], 0), 0
    for name in known:
        own = {r["who"]: r for r in results if r["table"] == name}
        if not set(who) <= set(own):
            continue
        sign = -1 if known[name]["metric"] in greater else 1
        values = [sign * own[w].get("answers", np.inf * sign) for w in who]
        order = [1 + sum(o < v for o in values) + 0.5 * (sum(o == v for o in values) - 1) for v in values]
        ranks.append(order)
        for w, value in zip(who[1:], values[1:]):
            ahead[w] += values[0] < value
        over += own["kit"]["seconds"] > 1.05 * own["kit"]["budget"]
        cells = [("failed" if "answers" not in own[w] else f"{own[w]['answers']:.4f}") for w in who]
        cells = [f"**{c}**" if v == min(values) else c for c, v in zip(cells, values)]
        print(f"| {name} | {known[name]['metric']} | {' | '.join(cells)} | {own['kit'].get('oof', np.nan):.4f} | {own['kit']['seconds']:.1f} |")
    if ranks:
        print(f"| mean rank | | {' | '.join(f'{r:.2f}' for r in np.mean(ranks, axis=0))} | | |")
        print(f"\nkit ahead of {', '.join(f'{w} on {n}' for w, n in ahead.items())} of {len(ranks)}; over its time by more than 5 %: {over}")


if __name__ == "__main__":
    os.environ.setdefault("PYTHONHASHSEED", "0")
    main()
