"""Top-5 localisation error: the share of pictures in which none of the five surest boxes has the right label at the right place.

After eval_clsloc.m of the ILSVRC development kits: a box is right where it overlaps one of the true boxes of its label by at least half.
"""

import numpy as np

from kit.errors import ConfigError, ScoreError
from kit.found import Found
from kit.metrics import _matching

needs = "boxes"
greater_is_better = False
EXAMPLE = {  # overlaps of 50/100, which is right, and of 40/100; the third picture's label is right and its box elsewhere
    "truth": [Found.of([name], boxes=[[0, 0, 9, 9]]) for name in ("cat", "cat", "dog")],
    "predicted": [
        Found.of(["dog", "cat"], boxes=[[0, 0, 9, 9], [0, 0, 9, 4]], scores=[0.9, 0.8]),
        Found.of(["dog", "cat"], boxes=[[0, 0, 9, 9], [0, 0, 9, 3]], scores=[0.9, 0.8]),
        Found.of(["dog"], boxes=[[50, 0, 59, 9]], scores=[0.9]),
    ],
    "score": 2 / 3,
}


def score(truth: list[Found], predicted: list[Found], *, top: int = 5, threshold: float = 0.5, inclusive: bool = True) -> float:
    """
    top        predicted boxes of a picture that count, the surest; those that are as sure count in their order
    threshold  0..1, intersection over union from which a box is right
    inclusive  whether x2 and y2 are the last pixel within a box, or the first beyond it

    A picture in which several labels are true has the mean error of them; one in which nothing is true, or something is ignored, does not
    count. Raises ScoreError where none does.
    """
    if top < 1:
        raise ConfigError(f"localization_error: top = {top}, but the first box is 1")
    scored = [(a, b) for a, b in zip(truth, predicted, strict=True) if len(a) and not (a.ignored is not None and a.ignored.any())]
    if not scored:
        raise ScoreError("localization_error is not defined: nothing is true in any of the pictures")
    surest = [b.take(np.argsort(-b.scores, kind="stable")[:top]) for _, b in scored]
    laid = _matching.lay([a for a, _ in scored], surest, by="boxes")
    found = _matching.pairs(laid, inclusive=inclusive)
    hit = np.unique(laid.truth.place[found.true[found.iou >= threshold]])
    places = [np.unique(a.labels) for a, _ in scored]
    picture = np.repeat(np.arange(len(scored)), [len(labels) for labels in places])
    wanted = np.unique(laid.truth.place)  # one for each picture and label, in the order of pictures
    missed = ~np.isin(wanted, hit)
    return float(np.mean(np.bincount(picture, weights=missed) / np.bincount(picture)))
