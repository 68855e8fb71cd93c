"""Answers that are numbers: how far they are from the truth, and where."""

import numpy as np
import pandas as pd

from kit.predictions import Predictions
from kit.reporting.cards import Card, Judged, legend, together
from kit.reporting.charts import Axis, Plot, histogram
from kit.reporting.markup import clean, number
from kit.reporting.seen import Seen

_POINTS = 1_200
_TARGETS = 4  # that get charts of their own


def regression(seen: Seen, predictions: Predictions, truth: pd.DataFrame) -> tuple[list[Card], Judged]:
    task = seen.data.task
    true, said = (np.asarray(v, dtype=np.float64).reshape(len(truth), -1) for v in task.for_metric("value", truth, predictions, seen.run.info["post"]))
    log = task.transform in ("log", "log1p") and bool((true > 0).all() and (said > 0).all())
    cards = []
    for n, name in enumerate(task.targets[:_TARGETS]):
        one = f" of {clean(name, 24)}" if len(task.targets) > 1 else ""
        cards += _cards(true[:, n], said[:, n], clean(name, 30), one, log)
    tested = Predictions.read(seen.run.folder / "test.parquet").rows if (seen.run.folder / "test.parquet").is_file() else None
    if tested is not None and len(task.targets) == 1:
        both = [("out of fold", said[:, 0], "quiet"), ("test rows", tested["y"].to_numpy(), "a")]
        shown = together(histogram(both, clean(task.targets[0], 30), "answers for the test rows and out of fold", log=log), legend(("quiet", "out of fold"), ("a", "test rows")))
        cards.append(Card("Test rows beside out of fold", shown, "where the shapes differ, test rows may be unlike the training rows"))
    spread = np.where(true.std(axis=0) > 0, true.std(axis=0), 1.0)
    errors = np.abs(np.log(said / true)).mean(axis=1) if log else (np.abs(said - true) / spread).mean(axis=1)
    words = [[", ".join(number(v) for v in row[:6]) for row in m] for m in (said, true)]
    measure = "distance of the logarithms" if log else "distance in deviations of the truth" if len(task.targets) > 1 else "distance from the truth"
    return cards, Judged(predictions.ids, errors, *words, None, measure)


def _cards(true: np.ndarray, said: np.ndarray, name: str, one: str, log: bool) -> list[Card]:
    shown = np.sort(np.random.default_rng(0).permutation(len(true))[:_POINTS])
    low, high = (float(v) for v in np.percentile(np.concatenate([true, said]), [0.2, 99.8]))
    axis = Axis.over([low, high], log=log)
    x, y = (Axis(axis.low, axis.high, f"{word} {name}", axis.log) for word in ("said:", "true:"))
    plot = Plot(x, y, "each row by what was said and what is true")
    plot.line([axis.low, axis.high], [axis.low, axis.high], "reference")
    plot.dots(np.clip(said[shown], axis.low, axis.high), np.clip(true[shown], axis.low, axis.high), "a faint", 2.0)
    note = f"{len(shown)} rows drawn from {len(true)}; on the line there is no error" if len(shown) < len(true) else "on the line there is no error"
    cards = [Card(f"Said and true{one}", plot.svg(), note)]
    far = np.log(said / true) if log else said - true
    unit = "said / true, natural logarithm" if log else f"said − true, {name}"
    middle = f"half of the rows lie within {number(np.percentile(np.abs(far), 50), 3)}, nine of ten within {number(np.percentile(np.abs(far), 90), 3)}; the mean is {number(far.mean(), 3)}"
    cards.append(Card(f"Errors{one}", histogram([("rows", far, "a")], unit, "rows by their error"), middle))
    if len(true) >= 50:
        cards.append(Card(f"Errors by what was said{one}", _by_size(said, far, f"said: {name}", unit, log), "median and the middle half in ten equal parts: away from 0 it is biased there"))
    return cards


def _by_size(said: np.ndarray, far: np.ndarray, x: str, y: str, log: bool) -> object:
    parts = [part for part in np.array_split(np.argsort(said, kind="stable"), 10) if len(part)]
    centres = [float(np.median(said[part])) for part in parts]
    quartiles = [np.percentile(far[part], [25, 50, 75]) for part in parts]
    plot = Plot(Axis.over(centres, x, log=log), Axis.over([v for q in quartiles for v in q] + [0.0], y.split(",")[0]), "errors by the size of the answer")
    plot.reference(y=0.0)
    for centre, (low, _, high) in zip(centres, quartiles):
        plot.whisker(centre, float(low), float(high))
    plot.dots(centres, [float(q[1]) for q in quartiles], radius=3.4, told=[f"{number(c)}: median error {number(q[1], 3)}" for c, q in zip(centres, quartiles)])
    return plot.svg()
