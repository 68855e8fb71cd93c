"""Several models' boxes of one picture, or one model's from several views, become one set: weighted box fusion.

After Solovyev, Wang and Gabruseva 2021 (Image and Vision Computing 107), by the authors' own package: boxes of one class that overlap are one,
whose corners are the mean by confidence; a box that few of the models found loses confidence. Deviation: the package's box_and_model_avg, since
its usual rule counts boxes: one that a model gave twice loses nothing there, and confidences go beyond 1 where models weigh unequally.
"""

from collections.abc import Sequence

import numpy as np
from ensemble_boxes import weighted_boxes_fusion

from kit.found import Found

IOU = 0.55  # from which boxes are one, as in the paper's experiments
_LEAST_SCORE = 1e-9  # of a box that is fused: corners are weighed by it
_LEAST_SIDE = 1e-6  # pixels: rounding leaves some boxes no width or no height, which the package would warn of one by one


def fused(parts: Sequence[Found], weights: Sequence[float] | None = None, *, iou: float = IOU) -> Found:
    """The boxes of one picture, the surest first.

    parts    with boxes whose right and lower sides are beyond their last pixel
    weights  one a part, above 0; None for equal ones

    A box's score is the mean of those that were fused, by weights, times the share of all weights that its parts have. Boxes without an area
    are left out.
    """
    parts = [part.take((abs(part.boxes[:, 2:] - part.boxes[:, :2]) > _LEAST_SIDE).all(axis=1)) for part in parts]
    held = [part for part in parts if len(part)]
    if not held:
        return parts[0]
    if len(parts) == 1:
        return parts[0].take(np.argsort(-parts[0].scores, kind="stable"))
    low = np.min([part.boxes.min(axis=0)[:2].min() for part in held])
    span = np.max([part.boxes.max() for part in held]) - low  # one scale for both axes: overlaps stay as they are
    names = sorted({label for part in held for label in part.labels.tolist()})
    place = {name: n for n, name in enumerate(names)}
    boxes, scores, codes = weighted_boxes_fusion(
        [((part.boxes - low) / span).tolist() for part in parts],
        [np.maximum(part.scores, _LEAST_SCORE).tolist() for part in parts],
        [[place[label] for label in part.labels.tolist()] for part in parts],
        weights=None if weights is None else list(weights),
        iou_thr=iou,
        skip_box_thr=0.0,
        conf_type="box_and_model_avg",
    )
    order = np.argsort(-scores, kind="stable")
    labels = np.array(names, dtype=object)[codes[order].astype(np.int64)]
    return Found.of(labels, boxes=boxes[order].astype(np.float64) * span + low, scores=scores[order])
