"""How the models came about: curves of their losses, what they look at, and the time that each fold took."""

import csv
import re
from pathlib import Path

import numpy as np

from kit.errors import RunError
from kit.files import read_json
from kit.fitting import HISTORY
from kit.reporting.cards import Card
from kit.reporting.charts import Axis, Plot, Row, rows_chart
from kit.reporting.markup import clean, number
from kit.reporting.seen import Seen

_POINTS = 150  # of a curve
_CURVES = 30
_COLUMNS = 20
_ASIDE = ("lr",)
_EPOCH = re.compile(r"^(fold \d+|refit)  epoch (\d+) of \d+  loss ([0-9.]+)$")  # in log.txt, of runs that kept no history


def folders(seen: Seen) -> list[Path]:
    """Those of the folds in their order, then that of the refit."""
    found = sorted(seen.run.folder.glob("fold-*"), key=lambda p: int(p.name[5:]))
    return [*found, *([seen.run.folder / "refit"] if (seen.run.folder / "refit").is_dir() else [])]


def curves(seen: Seen) -> Card | None:
    """The loss of each epoch, or of each round on the rows that decide when to stop."""
    told = {folder.name: _history(folder / HISTORY) for folder in folders(seen) if (folder / HISTORY).is_file()} or _logged(seen.run.folder / "log.txt")
    lines = [(name, columns[step], column, values) for name, columns in told.items() for step in list(columns)[:1] for column, values in columns.items() if column not in (step, *_ASIDE)]
    lines = [line for line in lines if len(line[3])][:_CURVES]
    if not lines:
        return None
    step = next(iter(next(iter(told.values()))))
    watched = step == "round"
    everything = np.concatenate([values for *_, values in lines])
    top = float(np.percentile(everything, 99.5)) if watched else float(everything.max())  # first rounds would flatten the rest
    plot = Plot(Axis(1, max(len(values) for *_, values in lines) + 1e-9 or 2, step, whole=True), Axis.over([float(everything.min()), top], "loss of watched rows" if watched else "training loss"), "loss step by step")
    for name, steps, column, values in lines:
        picked = np.unique(np.linspace(0, len(values) - 1, _POINTS).round().astype(int))
        plot.line([steps[n] for n in picked], [min(values[n], plot.y.high) for n in picked], "a thin", f"{name}, {column}: {number(values[-1])} at the end")
        end = int(np.argmin(values)) if watched else len(values) - 1
        plot.dots([steps[end]], [min(values[end], plot.y.high)], radius=2.6, told=[f"{name}, {column}: {number(values[end])} at {step} {steps[end]:g}"])
    note = "rows cut from the training part of each fold; a dot where each curve is lowest" if watched else "a line for each fold" if len(told) > 1 else ""
    return Card("Learning curves", plot.svg(), note)


def _history(path: Path) -> dict[str, list[float]]:
    """Column -> its numbers; a curve that ended earlier is shorter. Raises RunError where it is no such table."""
    with open(path, encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    try:
        return {name: [float(row[n]) for row in rows if row[n]] for n, name in enumerate(head)}
    except (ValueError, IndexError) as error:
        raise RunError(f"{path} is no table of numbers: {error}") from error


def _logged(path: Path) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        if match := _EPOCH.match(line):
            own = found.setdefault(match[1], {"epoch": [], "loss": []})
            own["epoch"].append(float(match[2]))
            own["loss"].append(float(match[3]))
    return found


def importances(seen: Seen) -> dict[str, float]:
    """Column -> its share, mean over the folds; empty for models that tell none."""
    told = [read_json(folder / "model.json").get("importances", {}) for folder in folders(seen) if (folder / "model.json").is_file()]
    names = {name for shares in told for name in shares}
    means = {name: float(np.mean([shares.get(name, 0.0) for shares in told])) for name in names}
    return dict(sorted(means.items(), key=lambda item: (-item[1], item[0])))


def columns(seen: Seen) -> Card | None:
    means = importances(seen)
    shown = [Row(clean(name), share, told=f"{clean(name, 120)}: {100 * share:.3g} %") for name, share in list(means.items())[:_COLUMNS] if share > 0]
    if not shown:
        return None
    note = f"the first {len(shown)} of {len(means)}; " if len(means) > len(shown) else ""
    return Card("What the model looks at", rows_chart(shown, "share of what all columns bring", "importance of columns", bars=True), f"{note}mean over the folds; of columns that tell the same, one may take it all")


def times(seen: Seen) -> Card | None:
    told = [(folder.name, read_json(folder / "fold.json").get("seconds")) for folder in folders(seen) if (folder / "fold.json").is_file()]
    rows = [Row(name.replace("-", " "), float(value)) for name, value in told if value is not None][:_CURVES]
    if len(rows) < 2:
        return None
    total = sum(r.value for r in rows)
    return Card("Time by fold", rows_chart(rows, "seconds", "seconds that each fold took", bars=True), f"{number(total, 3)} s of {number(seen.run.info['seconds'], 3)} s in all; the rest is reading, checking and scoring")
