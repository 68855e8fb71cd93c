"""Answers that are any number of labels: which are found, and how many are given."""

import numpy as np
import pandas as pd

from kit.predictions import Predictions
from kit.reporting.cards import Card, Judged, legend, together
from kit.reporting.charts import Axis, Plot, Row, rows_chart
from kit.reporting.classes import calibration
from kit.reporting.markup import clean, number
from kit.reporting.seen import Seen

_SHOWN = 20
_CELLS = 200_000


def multilabel(seen: Seen, predictions: Predictions, truth: pd.DataFrame) -> tuple[list[Card], Judged]:
    task, post = seen.data.task, seen.run.info["post"]
    true, p = task.for_metric("probability", truth, predictions, post)
    _, wide = task.for_metric("label", truth, predictions, post)
    said = np.asarray(wide)[:, : true.shape[1]]
    both, given, there = (said & true).sum(axis=0), said.sum(axis=0), true.sum(axis=0)
    f1 = 2 * both / np.maximum(given + there, 1)
    order = np.argsort(-there, kind="stable")[:_SHOWN]
    rows = [Row(clean(task.classes[n]), float(f1[n]), told=f"{clean(task.classes[n], 80)}: F1 {number(f1[n], 3)}; {there[n]} rows have it, {given[n]} get it, {both[n]} both") for n in order]
    picked = np.random.default_rng(0).permutation(p.size)[:_CELLS] if p.size > _CELLS else np.arange(p.size)
    most = int(min(max(true.sum(axis=1).max(), said.sum(axis=1).max()), 30))
    edges = np.arange(-0.5, most + 1.5)
    counts = [np.histogram(np.minimum(m.sum(axis=1), most), edges)[0] / len(m) for m in (true, said)]
    plot = Plot(Axis(-0.5, most + 0.5, "labels of a row", whole=True), Axis(0, float(np.max(counts)) * 1.08 or 1.0, "share of rows"), "rows by the number of their labels")
    plot.bars(edges, counts[0], "quiet")
    plot.bars(edges, counts[1], "a")
    cards = [
        Card("Labels", rows_chart(rows, "F1", "F1 of the commonest labels", bars=True), f"the commonest of {len(task.classes)}" if len(task.classes) > _SHOWN else "the commonest first"),
        calibration(p.ravel()[picked], true.ravel()[picked].astype(np.float64), "probability of a label", "share that is right"),
        Card("How many labels", together(plot.svg(), legend(("quiet", "true"), ("a", "given")))),
    ]
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    errors = -(true * np.log(clipped) + (1 - true) * np.log(1 - clipped)).mean(axis=1)
    names = np.array(task.classes, dtype=object)
    words = [[", ".join(names[row.astype(bool)]) or "(none)" for row in m] for m in (said, true)]
    return cards, Judged(predictions.ids, errors, *words, (said == true).all(axis=1), "log loss, mean over the labels")
