"""Answers that are ranked ids: how soon the right ones come."""

import numpy as np
import pandas as pd

from kit.predictions import Predictions
from kit.reporting.cards import Card, Judged
from kit.reporting.charts import Row, histogram, rows_chart
from kit.reporting.markup import number
from kit.reporting.seen import Seen

_FIRST = 5  # neighbours that are shown
_RANKS = ((1, 1), (2, 3), (4, 10), (11, 100))


def retrieval(seen: Seen, predictions: Predictions, truth: pd.DataFrame) -> tuple[list[Card], Judged]:
    task = seen.data.task
    relevant, ranked = task.for_metric("neighbours", truth, predictions, seen.run.info["post"])
    asked = np.array([n for n, own in enumerate(relevant) if own], dtype=np.int64)  # a query without relevant rows has no score
    hits = [[name in relevant[n] for name in ranked[n]] for n in asked]
    precision = np.array([_average_precision(own, len(relevant[n])) for own, n in zip(hits, asked)])
    first = np.array([own.index(True) + 1 if any(own) else 0 for own in hits])
    rows = [Row(f"rank {low}" if low == high else f"{low} to {high}", float(((first >= low) & (first <= high)).mean())) for low, high in _RANKS]
    rows.append(Row("none", float(((first == 0) | (first > _RANKS[-1][1])).mean()), strong=False))
    cards = [
        Card("Where the first right one stands", rows_chart(rows, "share of the queries", "queries by the rank of the first right one", bars=True), f"{len(asked)} queries that have something to find"),
        Card("Average precision of each query", histogram([("queries", precision, "a")], "average precision", "queries by their average precision", bins=20, bounds=(0.0, 1.0)), f"mean {number(precision.mean(), 3)}"),
    ]
    known = seen.data.tables.truth.set_index("id")[task.targets[0]]
    classes = [str(known.get(predictions.ids[n], "")) for n in asked]
    said = [f"{sum(own[:_FIRST])} of the first {min(_FIRST, len(own))} right" for own in hits]
    found = [list(zip(ranked[n][:_FIRST], own[:_FIRST])) for n, own in zip(asked, hits)]
    true = [f"{name}, {len(relevant[n])} to find" for name, n in zip(classes, asked)]
    return cards, Judged(predictions.ids[asked], 1 - precision, said, true, first == 1, "1 − average precision", classes, found)


def _average_precision(hits: list[bool], relevant: int) -> float:
    """Mean precision at the ranks of right answers, over as many as the list could hold."""
    right = np.flatnonzero(hits)
    return float(((1 + np.arange(len(right))) / (1 + right)).sum() / min(relevant, max(len(hits), 1)))
