"""Global average precision (micro-AP): all rows' answers in one list, the surest first, and the precision at each right one.

The sum is divided by the rows that have a true class: an answer for a row that has none is wrong and lowers the precision of all that
follow, a row of which nothing is said costs no more than its own share. After `GlobalAveragePrecision` of DELF
(tensorflow/models, research/delf/delf/python/datasets/google_landmarks_dataset/metrics.py), by which Kaggle's landmarks are graded.
"""

import numpy as np

from kit.errors import ScoreError

needs = "confidence"
greater_is_better = True
EXAMPLE = {"truth": ["a", "b c", "", "a"], "predicted": [("a", 0.9), ("c", 0.3), ("a", 0.5), None], "score": (1 / 1 + 2 / 3) / 3}


def score(truth: np.ndarray, predicted: list[tuple[str, float] | None]) -> float:
    """
    truth      (n,) text, the true classes of each row separated by spaces, any one of which is right; "" for none
    predicted  a class and its confidence for each row, or None

    Answers of one confidence stand in the order of the rows. Raises ScoreError where no row has a true class.
    """
    true = [str(text).split() for text in truth]
    expected = sum(bool(classes) for classes in true)
    if not expected:
        raise ScoreError("gap is not defined: no row has a true class")
    said = [(answer[1], answer[0] in classes) for answer, classes in zip(predicted, true, strict=True) if answer is not None]
    right = np.array([hit for _, hit in sorted(said, key=lambda each: -each[0])], dtype=bool)
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[right].sum() / expected)
