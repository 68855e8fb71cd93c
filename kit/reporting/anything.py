"""Answers of any other kind, such as boxes, masks and tracks: the metric asked of one row after another."""

import numpy as np
import pandas as pd

from kit.errors import ScoreError
from kit.predictions import Predictions
from kit.reporting.cards import Card, Judged, legend, together
from kit.reporting.charts import Axis, Plot, histogram
from kit.reporting.markup import number
from kit.reporting.seen import Seen

_ASKED, _EVENTS = 200, 10  # rows whose own score is asked for; of events, which are read from their files
_SURE = 0.3  # score from which an object counts as said


def anything(seen: Seen, predictions: Predictions, truth: pd.DataFrame) -> tuple[list[Card], Judged]:
    data, post = seen.data, seen.run.info["post"]
    drawn = np.sort(np.random.default_rng(0).permutation(len(truth))[: _EVENTS if data.task.picks else _ASKED])
    ids, scores, places = [], [], []
    for n in drawn.tolist():
        own = truth.iloc[[n]].reset_index(drop=True)
        try:
            scores.append(data.metric.score(data.task, own, predictions.take(list(own["id"])), post))
        except ScoreError:  # a row that has nothing to score, such as a picture without objects
            continue
        ids.append(own["id"][0])
        places.append(n)
    values = np.array(scores)
    cards = []
    if len(values):
        note = f"{len(values)} rows, one by one; their mean {number(values.mean())} need not be the score of all at once"
        cards.append(Card("The score of single rows", histogram([("rows", values, "a")], data.metric.name, "rows by their own score", bins=20), note))
    words = [f"{data.metric.name} {number(v, 3)}" for v in values]
    true = [""] * len(ids)
    if {"label", "score"} <= set(predictions.rows):
        cards += _counts(seen, predictions, truth)
        said = predictions.rows[predictions.rows["score"] >= _SURE].groupby("id").size()
        words = [f"{word}, {int(said.get(id, 0))} said" for word, id in zip(words, ids)]
        true = [f"{int((~truth[data.task.targets[0]].iloc[n].ignored).sum())} objects" for n in places]
    return cards, Judged(np.array(ids, dtype=object), -seen.sign * values, words, true, None, f"{data.metric.name} of the row alone")


def _counts(seen: Seen, predictions: Predictions, truth: pd.DataFrame) -> list[Card]:
    """How many objects a picture has, and how many are said."""
    there = np.array([int((~found.ignored).sum()) for found in truth[seen.data.task.targets[0]]])
    sure = predictions.rows[predictions.rows["score"] >= _SURE].groupby("id").size()
    said = np.array([int(sure.get(id, 0)) for id in truth["id"]])
    most = int(min(max(there.max(initial=0), said.max(initial=0)), 24))
    edges = np.arange(-0.5, most + 1.5)
    shares = [np.histogram(np.minimum(v, most), edges)[0] / max(len(v), 1) for v in (there, said)]
    plot = Plot(Axis(-0.5, most + 0.5, "objects of a picture", whole=True), Axis(0, float(np.max(shares)) * 1.08 or 1.0, "share of pictures"), "pictures by the number of their objects")
    plot.bars(edges, shares[0], "quiet")
    plot.bars(edges, shares[1], "a")
    cards = [Card("How many objects", together(plot.svg(), legend(("quiet", "true"), ("a", f"said with a score of {_SURE} or more"))))]
    scores = predictions.rows["score"].to_numpy(dtype=np.float64)
    if len(scores):
        cards.append(Card("Scores of what was said", histogram([("objects", scores, "a")], "score", "objects by their score", bounds=(0.0, 1.0) if scores.min() >= 0 and scores.max() <= 1 else None)))
    return cards
