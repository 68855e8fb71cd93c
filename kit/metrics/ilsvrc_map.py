"""Mean average precision as ImageNet's detection challenges have it: small objects are found with less overlap.

An object of w x h pixels is found from an overlap of min(0.5, wh / ((w + 10)(h + 10))) on: the best of those of its label that no surer box
has taken. After eval_detection.m and eval_vid_detection.m of the ILSVRC development kits (Russakovsky et al. 2015, IJCV 115, section 4.3).
"""

import numpy as np

from kit.found import Found
from kit.metrics import _matching
from kit.metrics._matching import Interpolation

needs = "boxes"
greater_is_better = True
EXAMPLE = {  # 10 x 10 pixels: found from 100 / 400 on. The first box has 50 / 150 of them, the second 25 / 100 of the other, the third is late
    "truth": [Found.of(["cat", "cat"], boxes=[[0, 0, 9, 9], [100, 0, 109, 9]]), Found.of(["dog"], boxes=[[0, 0, 9, 9]])],
    "predicted": [
        Found.of(["cat", "cat", "cat"], boxes=[[0, 5, 9, 14], [100, 0, 104, 4], [0, 0, 9, 9]], scores=[0.9, 0.8, 0.7]),
        Found.of(["dog", "dog"], boxes=[[50, 0, 59, 9], [0, 0, 9, 9]], scores=[0.9, 0.8]),
    ],
    "score": (1 + 1 / 2) / 2,
}


def score(
    truth: list[Found],
    predicted: list[Found],
    *,
    threshold: float = 0.5,
    margin: float = 10.0,
    interpolation: Interpolation = "all",
    most: int = 0,
    inclusive: bool = True,
) -> float:
    """
    threshold      0..1, the overlap that the largest objects are found from
    margin         pixels by which a found box may be too wide and too high in all
    interpolation  "all": the area under the curve; "101" and "11": the mean at so many recalls
    most           predicted objects of a picture and a label that count, the surest; 0 is all
    inclusive      whether x2 and y2 are the last pixel within a box, or the first beyond it

    A picture in which an object is ignored does not count for that object's label at all (the challenge's list of such pictures). The mean
    is over the labels that are true somewhere. Raises ScoreError where there are none.
    """
    laid = _matching.lay(truth, predicted, by="boxes", most=most)
    found, ignored = _matching.pairs(laid, inclusive=inclusive), np.unique(laid.truth.place[laid.truth.ignored])
    skipped = np.isin(laid.truth.place, ignored)
    width, height = (laid.truth.boxes[:, 2:] - laid.truth.boxes[:, :2] + inclusive).T
    least = np.minimum(threshold, width * height / ((width + margin) * (height + margin)))
    verdicts = _matching.by_confidence(laid, found.where((found.iou >= least[found.true]) & ~skipped[found.true]), of_equals="first")
    verdicts[np.isin(laid.predicted.place, ignored)] = -1
    return _matching.mean_average_precision(laid.without(skipped), verdicts[None], interpolation)
