"""Mean average precision as PASCAL VOC has it: each box goes to the true one that it overlaps most, and that one is found once.

After VOCevaldet.m of the VOC 2010 and 2012 development kits (Everingham et al. 2010, IJCV 88). What is ignored (VOC: difficult) is
neither found nor missed.
"""

import numpy as np

from kit.found import Found
from kit.metrics import _matching
from kit.metrics._matching import By, Interpolation

needs = ("boxes", "masks")
greater_is_better = True
EXAMPLE = {  # cat: found, then wrong: an area of 1/2 x 1; dog: a box that overlaps by half its pixels, where 3/4 are asked for
    "truth": [Found.of(["cat", "dog"], boxes=[[0, 0, 9, 9], [20, 0, 29, 9]]), Found.of(["cat"], boxes=[[0, 0, 9, 9]])],
    "predicted": [
        Found.of(["cat", "cat", "dog"], boxes=[[0, 0, 9, 8], [0, 0, 9, 9], [20, 0, 29, 4]], scores=[0.9, 0.8, 0.7]),
        Found.of([], boxes=[]),
    ],
    "options": {"threshold": 0.75},
    "score": (1 / 2 * 1 + 0) / 2,
}


def score(
    truth: list[Found],
    predicted: list[Found],
    *,
    threshold: float = 0.5,
    interpolation: Interpolation = "all",
    most: int = 0,
    inclusive: bool = True,
    by: By = "",
) -> float:
    """
    threshold      0..1, intersection over union from which an object is found
    interpolation  "all": the area under the curve (since 2010); "11": the mean at 11 recalls (2007); "101": as COCO
    most           predicted objects of a picture and a label that count, the surest; 0 is all
    inclusive      whether x2 and y2 are the last pixel within a box, or the first beyond it
    by             "boxes" or "masks"; "" is masks where the pictures have them

    The mean is over the labels that are true somewhere. Raises ScoreError where there are none.
    """
    laid = _matching.lay(truth, predicted, by=by, most=most)
    best = _matching.pairs(laid, inclusive=inclusive).best()
    best = best.where(best.iou >= threshold)
    verdicts = np.zeros(len(laid.predicted), np.int8)
    _, first = np.unique(best.true, return_index=True)
    verdicts[best.predicted[first]] = 1
    verdicts[best.predicted[laid.truth.ignored[best.true]]] = -1
    return _matching.mean_average_precision(laid, verdicts[None], interpolation)
