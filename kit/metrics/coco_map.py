"""Mean average precision as COCO has it: over ten thresholds of overlap and over labels, for boxes or for masks.

After COCOeval of pycocotools (cocodataset/cocoapi, PythonAPI/pycocotools/cocoeval.py), for objects of all sizes: the surest first, each
goes to the true object not yet taken that it overlaps most. What is ignored (COCO: a crowd) takes any number, counts as neither found nor
missed, and overlaps by the share of the predicted object that lies within it.
"""

import numpy as np

from kit.found import Found
from kit.metrics import _matching
from kit.metrics._matching import By, Interpolation

needs = ("boxes", "masks")
greater_is_better = True
EXAMPLE = {  # right at 0.5, 0.55 and 0.6 with an overlap of 0.6: the other true box is never found, and 51 of 101 recalls are up to 1/2
    "truth": [Found.of(["cat", "cat"], boxes=[[0, 0, 10, 10], [20, 0, 30, 10]]), Found.of([], boxes=[])],
    "predicted": [Found.of(["cat"], boxes=[[0, 0, 10, 6]], scores=[0.9]), Found.of(["cat"], boxes=[[0, 0, 10, 10]], scores=[0.5])],
    "score": 3 / 10 * 51 / 101,
}
THRESHOLDS = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]


def score(
    truth: list[Found],
    predicted: list[Found],
    *,
    thresholds: list[float] = THRESHOLDS,
    interpolation: Interpolation = "101",
    most: int = 100,
    inclusive: bool = False,
    by: By = "",
) -> float:
    """
    thresholds     0..1, intersection over union from which an object is found
    interpolation  "101": the mean at 101 recalls; "all": the area under the curve; "11": as VOC 2007
    most           predicted objects of a picture and a label that count, the surest; 0 is all
    inclusive      whether x2 and y2 are the last pixel within a box, or the first beyond it
    by             "boxes" or "masks"; "" is masks where the pictures have them

    The mean is over the labels that are true somewhere. Raises ScoreError where there are none.
    """
    laid = _matching.lay(truth, predicted, by=by, most=most)
    found = _matching.pairs(laid, inclusive=inclusive, crowds=True)
    verdicts = np.stack([_matching.by_confidence(laid, found.where(found.iou >= threshold), of_equals="last") for threshold in thresholds])
    return _matching.mean_average_precision(laid, verdicts, interpolation)
