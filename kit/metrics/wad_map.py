"""Mean average precision of masks over clips, labels and thresholds of overlap, as the CVPR 2018 WAD challenge has it.

Of several masks that match one true object the one that overlaps it most is right, whichever is surest; a mask that matches none and
overlaps a region to ignore by more than the threshold is dropped. The host's page says no more: precision is interpolated over all recalls,
and a label that is not true in a clip does not count there.
"""

from typing import Literal

import numpy as np

from kit.found import Found, Mask
from kit.metrics import _matching
from kit.metrics._matching import Interpolation, Laid, Pairs
from kit.metrics.coco_map import THRESHOLDS

needs = "masks"
greater_is_better = True


def _row(*runs: tuple[int, int]) -> list[Mask]:
    return [Mask(np.array([start]), np.array([length])) for start, length in runs]


EXAMPLE = {  # clip a: 8 of 10 pixels lose to 9 of 10, so precision is 1/2 at 0.5 to 0.85 and nothing is right above; clip b: found at all ten
    "truth": [Found.of(["33"], masks=_row((0, 10)), clip="a"), Found.of(["33", ""], masks=_row((0, 10), (20, 10)), ignored=[False, True], clip="b")],
    "predicted": [
        Found.of(["33", "33"], masks=_row((0, 8), (0, 9)), scores=[0.9, 0.8]),
        Found.of(["33", "33"], masks=_row((20, 10), (0, 10)), scores=[0.9, 0.8]),
    ],
    "score": (8 * 1 / 2 + 10 * 1) / 20,
}


def score(
    truth: list[Found],
    predicted: list[Found],
    *,
    match: Literal["largest_iou", "confidence"] = "largest_iou",
    thresholds: list[float] = THRESHOLDS,
    interpolation: Interpolation = "all",
    most: int = 0,
    clips: bool = True,
) -> float:
    """
    match          "largest_iou": as above; "confidence": as COCO, where the surest mask takes the object and a match may equal the threshold
    thresholds     0..1, intersection over union above which an object is found
    interpolation  "all": the area under the curve; "101" and "11": the mean at so many recalls
    most           predicted masks of a picture and a label that count, the surest; 0 is all
    clips          the mean is over labels in clips, else over labels

    A region to ignore has a label, such as a group of cars, or is ignored for all ("").
    """
    laid = _matching.lay(truth, predicted, by="masks", most=most, clips=clips)
    if match == "confidence":
        found = _matching.pairs(laid, crowds=True)
        verdicts = [_matching.by_confidence(laid, found.where(found.iou >= threshold), of_equals="last") for threshold in thresholds]
    else:
        found = _matching.pairs(laid)
        verdicts = [_by_overlap(laid, found.where(found.iou > threshold)) for threshold in thresholds]
    return _matching.mean_average_precision(laid, np.stack(verdicts), interpolation)


def _by_overlap(laid: Laid, found: Pairs) -> np.ndarray:
    """(predicted,) int8: 1 right, 0 wrong, -1 dropped."""
    verdicts = np.zeros(len(laid.predicted), np.int8)
    ignored = laid.truth.ignored[found.true]
    verdicts[found.predicted[ignored]] = -1
    best = found.where(~ignored).best()
    verdicts[best.predicted] = 0
    order = np.lexsort((best.predicted, -best.iou, best.true))
    _, first = np.unique(best.true[order], return_index=True)
    verdicts[best.predicted[order[first]]] = 1
    return verdicts
