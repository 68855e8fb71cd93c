"""Answers that are one class: confusion, how far probabilities hold, which classes suffer."""

from typing import Any

import numpy as np
import pandas as pd

from kit.predictions import Predictions
from kit.reporting.cards import Card, Judged, legend, together
from kit.reporting.charts import Axis, Plot, Row, heatmap, histogram, rows_chart
from kit.reporting.markup import clean, number
from kit.reporting.seen import Seen

_SQUARES = 20  # classes, above which pairs are listed instead of a square for each
_PAIRS = 14
_BINS = 10
_NONE = "(none)"  # of an open set


def binary(seen: Seen, predictions: Predictions, truth: pd.DataFrame) -> tuple[list[Card], Judged]:
    task, post = seen.data.task, seen.run.info["post"]
    true, p = task.for_metric("probability", truth, predictions, post)
    _, said = task.for_metric("label", truth, predictions, post)
    negative, positive = task.classes
    groups = [(f"true {negative}", p[true == 0], "b"), (f"true {positive}", p[true == 1], "a")]
    shown = [(name, values, class_) for name, values, class_ in groups if len(values)]
    cards = [
        _confusion(np.asarray(true), np.asarray(said), [clean(c) for c in task.classes], f"at a threshold of {post.get('threshold', 0.5):.3g}; shares of each row of the square"),
        Card(
            "Probabilities, by what is true",
            together(histogram(shown, f"probability of {clean(positive, 30)}", "shares of the rows by their probability", bounds=(0.0, 1.0)), legend(*((c, clean(n, 40)) for n, _, c in shown))),
            "the less the two overlap, the better they are told apart",
        ),
        calibration(p, np.asarray(true, np.float64), f"probability of {clean(positive, 30)}", f"share that is {clean(positive, 24)}"),
    ]
    if (tested := _tested(seen)) is not None:
        both = [("out of fold", p, "quiet"), ("test rows", tested["p"].to_numpy(), "a")]
        cards.append(
            Card(
                "Test rows beside out of fold",
                together(histogram(both, f"probability of {clean(positive, 30)}", "probabilities of the test rows and out of fold", bounds=(0.0, 1.0)), legend(("quiet", "out of fold"), ("a", "test rows"))),
                "where the shapes differ, test rows may be unlike the training rows",
            )
        )
    names = np.array(task.classes, dtype=object)
    words = [f"{names[s]}, p = {q:.3f}" for s, q in zip(said, p)]
    judged = Judged(predictions.ids, np.abs(np.asarray(true) - p), words, list(names[np.asarray(true)]), np.asarray(said) == true, "distance of the probability from the truth", list(names[np.asarray(true)]))
    return cards, judged


def multiclass(seen: Seen, predictions: Predictions, truth: pd.DataFrame) -> tuple[list[Card], Judged]:
    task, post = seen.data.task, seen.run.info["post"]
    true = truth[task.targets[0]].to_numpy(dtype=object)
    _, ranked = task.for_metric("label", truth, predictions, post)
    said = np.array([str(v) for v in ranked], dtype=object)
    of_said, of_true = _probabilities(task, truth, predictions, post, said, true)
    unknown = getattr(task, "unknown", "")
    spoken = [c if not task.open_set or c != unknown else _NONE for c in said]
    real = [c if not task.open_set or c != unknown else _NONE for c in true]
    right = said == true
    classes = [*task.classes, *([_NONE] if task.open_set else [])]
    place = {c: n for n, c in enumerate(classes)}
    codes = np.array([place.get(c, -1) for c in real]), np.array([place.get(c, -1) for c in spoken])
    cards = [_confusion(*codes, classes, "shares of each row of the square")] if len(classes) <= _SQUARES else _many(*codes, classes)
    cards.append(calibration(of_said, right.astype(np.float64), "confidence of the answer", "share that is right"))
    if (card := _shares(seen, codes[0], classes)) is not None:
        cards.append(card)
    errors = np.where(right, 1 - of_true, 1 + of_said - of_true)
    words = [f"{c}, {s:.3f}" for c, s in zip(spoken, of_said)]
    return cards, Judged(predictions.ids, errors, words, real, right, "wrong ones by their confidence, then right ones by their doubt", real)


def _probabilities(task: Any, truth: pd.DataFrame, predictions: Predictions, post: dict[str, Any], said: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) score of what was said, and of what is true: 0 where a list does not name it."""
    rows = predictions.aligned(truth["id"])
    if "labels" in rows:
        named = [dict(zip(labels, scores)) for labels, scores in zip(rows["labels"], rows["scores"])]
        return tuple(np.array([float(own.get(c, 0.0)) for own, c in zip(named, asked)]) for asked in (said, true))
    matrix = rows[[f"p_{c}" for c in task.classes]].to_numpy(dtype=np.float64)
    if "probability" in task.gives:
        _, matrix = task.for_metric("probability", truth, predictions, post)
    place = {c: n for n, c in enumerate(task.classes)}
    found = []
    for asked in (said, true):
        at = np.array([place.get(c, -1) for c in asked])
        found.append(np.where(at >= 0, matrix[np.arange(len(at)), np.maximum(at, 0)], 0.0))
    return found[0], found[1]


def _confusion(true: np.ndarray, said: np.ndarray, names: list[str], note: str) -> Card:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (true[(true >= 0) & (said >= 0)], said[(true >= 0) & (said >= 0)]), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return Card("Confusion", heatmap(shares, counts, [clean(n) for n in names], "what was said of the rows of each class"), note)


def _many(true: np.ndarray, said: np.ndarray, classes: list[str]) -> list[Card]:
    """Of many classes: the pairs that are confused most, and how the classes' own shares of right answers are spread."""
    wrong = (true != said) & (true >= 0) & (said >= 0)
    pairs, counts = np.unique(np.stack([true[wrong], said[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_PAIRS]
    rows = [Row(f"{clean(classes[i], 10)} → {clean(classes[j], 10)}", float(n), told=f"true {clean(classes[i], 80)}, said {clean(classes[j], 80)}: {n} rows") for (i, j), n in zip(pairs.T[order], counts[order])]
    cards = [Card("Most confused", rows_chart(rows, "rows", "pairs of classes that are confused most", bars=True), f"of {len(classes)} classes: what is true → what was said")] if rows else []
    many = np.bincount(true[true >= 0], minlength=len(classes))
    found = np.bincount(true[(true == said) & (true >= 0)], minlength=len(classes))
    recalls = found[many > 0] / many[many > 0]
    never = int((recalls == 0).sum())
    edges = np.linspace(0, 1, 21)
    heights = np.histogram(recalls, edges)[0]
    plot = Plot(Axis(0, 1, "share of a class's rows that is found"), Axis(0, float(heights.max()) * 1.08 or 1.0, "classes"), "classes by the share of their rows that is found")
    plot.bars(edges, heights)
    return [*cards, Card("Classes by their recall", plot.svg(), f"{never} of {len(recalls)} classes with rows are never found")]


def calibration(p: np.ndarray, happened: np.ndarray, x: str, y: str) -> Card:
    """Equally many rows a point: what was promised, what came true, and its 95 % interval (Wilson 1927)."""
    order = np.argsort(p, kind="stable")
    plot = Plot(Axis(0, 1, x), Axis(0, 1, y), "how often what was promised came true")
    plot.line([0, 1], [0, 1], "reference")
    centres, shares, gap = [], [], 0.0
    for part in np.array_split(order, min(_BINS, max(len(p) // 15, 1))):
        n, promised, share = len(part), float(p[part].mean()), float(happened[part].mean())
        centre, reach = (share + 1.92 / n) / (1 + 3.84 / n), 1.96 * np.sqrt(share * (1 - share) / n + 0.96 / n**2) / (1 + 3.84 / n)
        plot.whisker(min(max(promised, 0), 1), max(centre - reach, 0), min(centre + reach, 1))
        centres.append(min(max(promised, 0), 1))
        shares.append(share)
        gap += n / len(p) * abs(promised - share)
    plot.dots(centres, shares, radius=3.4, told=[f"promised {number(c, 3)}, came true {number(s, 3)}" for c, s in zip(centres, shares)])
    return Card("Do probabilities hold?", plot.svg(), f"on the line they do; the mean distance to it is {number(gap, 2)}")


def _tested(seen: Seen) -> pd.DataFrame | None:
    path = seen.run.folder / "test.parquet"
    return Predictions.read(path).rows if path.is_file() else None


def _shares(seen: Seen, true: np.ndarray, classes: list[str]) -> Card | None:
    """The commonest classes: their share of the training rows, and of what is said of the test rows."""
    path, task = seen.run.folder / "test.parquet", seen.data.task
    tested = Predictions.read(path) if path.is_file() else None
    if tested is None or not len(tested.ids):
        return None
    unasked = pd.DataFrame({"id": tested.ids, task.targets[0]: task.classes[0]})  # what is true of them is not looked at
    _, first = task.for_metric("label", unasked, tested, seen.run.info["post"])
    said = pd.Series([_NONE if task.open_set and str(v) == task.unknown else str(v) for v in first]).value_counts(normalize=True)
    known = np.bincount(true[true >= 0], minlength=len(classes)) / max((true >= 0).sum(), 1)
    order = np.argsort(-known, kind="stable")[:10]
    rows = []
    for n in order:
        share, own = float(said.get(classes[n], 0.0)), float(known[n])
        told = f"{clean(classes[n], 80)}: {100 * share:.3g} % of the answers for test rows, {100 * own:.3g} % of the out-of-fold rows"
        rows.append(Row(clean(classes[n]), share, told=told, mark=own))
    chart = rows_chart(rows, "share of the test rows", "the commonest classes among the answers for test rows", bars=True)
    return Card("What is said of the test rows", chart, "a bar each class; the line in it is its share of the rows out of fold")
