"""Boxes of a clip's frames linked along it and rescored, so that what is sure in some frames lifts what is faint in others: Seq-NMS.

After Han et al. 2016 (arXiv:1602.08465), section 3: of all chains of boxes of one class, each overlapping the next frame's by at least an IoU, the
one of the greatest sum of scores is taken, its boxes get its mean score, and boxes that overlap them within their frames are suppressed;
again until none is left. Deviations: a box may keep a share of its own score; what is
suppressed is only what no other chain has used.
"""

from collections.abc import Sequence

import numpy as np

from kit.found import Found


def linked(ids: Sequence[str], found: Sequence[Found], beyond: np.ndarray, *, iou: float, share: float = 1.0, suppress: float = 0.5) -> list[Found]:
    """The same frames with new scores, and without what was suppressed.

    ids       "<clip>/<frame>" each; the frames of a clip follow one another in the order of their ids
    beyond    (4,) what turns the boxes' corners into ones beyond their last pixel
    iou       0..1, from which boxes of two frames are one object
    share     0..1, of the chain's mean in a box's new score: 1 as in the paper, less leaves more of its own
    suppress  0..1, from which a box of the same frame and class is the chain's object, too
    """
    order = np.argsort(np.asarray(ids, dtype=object), kind="stable")
    clips = [str(ids[n]).rpartition("/")[0] for n in order]
    result: list[Found | None] = [None] * len(found)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or clips[end] != clips[start]:
            frames = order[start:end]
            for n, own in zip(frames, _of_clip([found[n] for n in frames], beyond, iou, share, suppress)):
                result[n] = own
            start = end
    return result


def _of_clip(frames: list[Found], beyond: np.ndarray, iou: float, share: float, suppress: float) -> list[Found]:
    scores = [np.full(len(f), -np.inf) for f in frames]
    for label in sorted({label for f in frames for label in f.labels.tolist()}):
        places = [np.flatnonzero(f.labels == label) for f in frames]
        boxes = [f.boxes[p] + beyond for f, p in zip(frames, places)]
        for own, p, given in zip(scores, places, _rescored(boxes, [f.scores[p] for f, p in zip(frames, places)], iou, share, suppress)):
            own[p] = given
    kept = [np.flatnonzero(np.isfinite(own)) for own in scores]
    return [Found.of(f.labels[k], boxes=f.boxes[k], scores=own[k]) for f, own, k in zip(frames, scores, kept)]


def _rescored(boxes: list[np.ndarray], scores: list[np.ndarray], iou: float, share: float, suppress: float) -> list[np.ndarray]:
    """The scores of one class's boxes, frame by frame; -inf for those suppressed."""
    n = len(boxes)
    links = [overlaps(boxes[t], boxes[t + 1]) >= iou for t in range(n - 1)]  # (k, next k)
    within = [overlaps(b, b) >= suppress for b in boxes]
    left = [np.ones(len(b), bool) for b in boxes]
    given = [np.full(len(b), -np.inf) for b in boxes]
    best: list[np.ndarray] = [s.copy() for s in scores]  # greatest sum of a chain that begins at this box
    following: list[np.ndarray] = [np.full(len(s), -1) for s in scores]

    def update(t: int) -> bool:
        """Whether anything changed."""
        sums = np.where(left[t], scores[t], -np.inf)
        after = np.full(len(sums), -1)
        if t + 1 < n and len(boxes[t + 1]) and len(sums):
            reach = np.where(links[t] & left[t + 1][None], best[t + 1][None], -np.inf)
            after = np.where(np.isfinite(reach.max(axis=1)), reach.argmax(axis=1), -1)
            sums = sums + np.where(after >= 0, reach.max(axis=1), 0.0)
        same = np.array_equal(sums, best[t]) and np.array_equal(after, following[t])
        best[t], following[t] = sums, after
        return not same

    for t in reversed(range(n)):
        update(t)
    while any(own.any() for own in left):
        tops = [own.max(initial=-np.inf) for own in best]
        t = int(np.argmax(tops))
        k, first, chain = int(best[t].argmax()), t, []
        while k >= 0:
            chain.append((t, k))
            t, k = t + 1, int(following[t][k])
        mean = float(np.mean([scores[t][k] for t, k in chain]))
        for t, k in chain:
            given[t][k] = share * mean + (1 - share) * scores[t][k]
            left[t] &= ~within[t][k]
            left[t][k] = False
        last = chain[-1][0]
        for t in reversed(range(last + 1)):
            if not update(t) and t < first:
                break
    return given


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4), whose right and lower sides are beyond their last pixel."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = lambda some: (some[:, 2:] - some[:, :2]).prod(axis=1)  # noqa: E731
    whole = area(a)[:, None] + area(b)[None] - shared
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
