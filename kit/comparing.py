"""Runs beside one another: which differences of their scores are noise, and whether the score out of fold goes with the leaderboard.

Folds share training rows, so that their scores vary together, and a plain paired test finds differences where there are none.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from scipy import stats

from kit.choosing import MIXED
from kit.errors import RunError
from kit.runs import Run

NOISE = 0.05  # p-value from which a difference counts as noise
FEWEST = 3  # runs for a rank correlation


def corrected_t_test(one: list[float], other: list[float], ratio: float) -> tuple[float, float, float]:
    """(mean of one less other, its standard error, two-sided p-value) of scores on the same folds, also of several repeats.

    one, other  (J,) score of each fold, J at least 2
    ratio       rows validated to rows trained on, of a fold
    The corrected resampled t-test of Nadeau and Bengio (2003), Inference for the generalization error: the variance of the mean is (1 / J + ratio) of the variance of
    the differences; Bouckaert and Frank (2004) for repeats. Student's t with J - 1 degrees of freedom.
    """
    differences = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    folds = len(differences)
    assert folds > 1 and len(one) == len(other), "two scores or more, of the same folds"
    mean = float(differences.mean())
    error = math.sqrt(float(differences.var(ddof=1)) * (1 / folds + ratio))
    if error <= 1e-12 * max(abs(mean), 1e-300):  # the same in each fold
        return mean, 0.0, 1.0 if mean == 0 else 0.0
    return mean, error, float(2 * stats.t.sf(abs(mean) / error, folds - 1))


def ratio_of(path: Path) -> float:
    """Rows validated to rows trained on, mean over the folds of a folds.csv. Raises RunError if there is none."""
    try:
        table = pacsv.read_csv(
            path,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(include_columns=["repeat", "fold", "role"], column_types={"role": pa.string()}),
        )
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing: is its folder a whole run?") from error
    counted = table.group_by(["repeat", "fold", "role"]).aggregate([([], "count_all")]).to_pylist()
    rows = {(c["repeat"], c["fold"], c["role"]): c["count_all"] for c in counted}
    folds = {(repeat, fold) for repeat, fold, _ in rows}
    ratios = [rows.get((*fold, "valid"), 0) / rows[(*fold, "train")] for fold in folds if rows.get((*fold, "train"))]
    if not ratios:
        raise RunError(f"{path} has no fold with training rows: is its folder a whole run?")
    return float(np.mean(ratios))


def against_best(runs: list[Run]) -> dict[str, str]:
    """Run name -> how it stands beside the best run with the same folds and metric; runs without such a companion are left out.

    runs  finished and scored; those that cover a part of the rows are left out
    """
    alike: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        scores = run.info["score"]["folds"]
        if run.info["covered"] == run.info["validated"] and len(scores) > 1 and run.info.get("folds") not in (None, MIXED):
            alike.setdefault((run.info["folds"], run.info["metric"], len(scores)), []).append(run)
    told = {}
    for companions in (c for c in alike.values() if len(c) > 1):
        sign = 1 if companions[0].info["greater_is_better"] else -1
        best = max(companions, key=lambda r: sign * r.info["score"]["mean"])
        ratio = ratio_of(best.folder / "folds.csv")
        told[best.name] = f"the best of {len(companions)} with the same folds"
        for run in (r for r in companions if r is not best):
            mean, error, p = corrected_t_test(run.info["score"]["folds"], best.info["score"]["folds"], ratio)
            what = f"{mean:+.3g} ± {error:.2g} to {best.name}, p {p:.2g}"
            told[run.name] = f"the same as {best.name}" if mean == 0 and p == 1 else f"{what}: {'noise' if p >= NOISE else 'worse'}"
    return told


def leaderboard(run: Run) -> float | None:
    """The run's score on the leaderboard, the private one where it is known; None where it has none.

    run.json's `leaderboard` is a number, or has `public` and `private`. Raises RunError for anything else.
    """
    told = run.info.get("leaderboard")
    if isinstance(told, dict):
        told = told.get("private") if told.get("private") is not None else told.get("public")
    if told is None:
        return None
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told):
        raise RunError(f"{run.folder / 'run.json'}: leaderboard is {run.info['leaderboard']!r}\nexpected a number, or public and private with a number each")
    return float(told)


def with_leaderboard(runs: list[Run]) -> str:
    """One sentence on how the scores out of fold go with the leaderboard's; "" below three runs that have both."""
    both = [(run.info["score"]["mean"], score) for run in runs if run.info["covered"] == run.info["validated"] and (score := leaderboard(run)) is not None]
    if len(both) < FEWEST:
        return ""
    own, shown = np.array(both).T
    if len(set(own)) == 1 or len(set(shown)) == 1:
        return f"cv and leaderboard of {len(both)} runs have no rank correlation: all scores of one are the same"
    found = stats.spearmanr(own, shown).statistic
    return f"cv and leaderboard have a rank correlation of {found:.2f} over {len(both)} runs; the leaderboard is {np.mean(shown - own):+.3g} beside the cv"
