"""Every metric against a slow, obvious second implementation: plain loops over plain lists, on 1,000 small random cases each.

The slow one gets the rows repeated as often as their weight says and returns None where the score is not defined; there the metric
raises ScoreError. Values come from a coarse grid, so that ties, constants, zeros and single classes are common.
"""

import inspect
import itertools
import math
import random

import numpy as np
import pytest

from kit import registry
from kit.errors import ScoreError

CASES = 1_000


# -- random cases: each draws (truth, predicted) as lists


def labels(rng):
    n = rng.randint(1, 7)
    names = rng.choice([[0, 1], [1], [0, 1, 2], ["a", "b", "c", "d"], ["a"]])
    return rng.choices(names, k=n), rng.choices(names, k=n)


def zeros_and_ones(rng):
    n = rng.randint(1, 7)
    return rng.choices([0, 0, 1], k=n), rng.choices([0, 0, 1], k=n)


def ratings(rng):
    n, levels = rng.randint(1, 7), rng.choice([[3], [1, 2], [-1, 0, 1, 4]])
    return rng.choices(levels, k=n), rng.choices(levels, k=n)


def label_matrix(rng):
    n, c = rng.randint(1, 6), rng.randint(1, 3)
    return [rng.choices([0, 1], k=c) for _ in range(n)], [rng.choices([0, 1], k=c) for _ in range(n)]


def labels_or_matrix(rng):
    return rng.choice([labels, label_matrix])(rng)


def probability(rng):
    return rng.choice([0.0, 0.25, 0.5, 0.75, 1.0, rng.random()])


def probabilities(rng):
    n, c = rng.randint(1, 7), rng.randint(2, 4)
    matrix = [[probability(rng) for _ in range(c)] for _ in range(n)]
    form = rng.choice(["binary", "multiclass", "multilabel"])
    if form == "binary":
        return rng.choices([0, 1], k=n), [row[0] for row in matrix]
    if form == "multiclass":
        return [rng.randrange(c) for _ in range(n)], matrix
    return [rng.choices([0, 1], k=c) for _ in range(n)], matrix


def values(rng):
    n, grid = rng.randint(1, 7), rng.choice([[0.0, 1.0, 2.0, 3.5], [-2.0, 0.0, 0.3], [0.1], [-1.0, 0.5, 4.0]])
    if rng.random() < 0.2:
        return [rng.gauss(0, 1) for _ in range(n)], [rng.gauss(0, 1) for _ in range(n)]
    return rng.choices(grid, k=n), rng.choices(grid, k=n)


def targets(rng):
    n, c = rng.randint(1, 5), rng.randint(1, 3)
    return [[rng.choice([0.0, 1.0, 2.5]) for _ in range(c)] for _ in range(n)], [[rng.random() for _ in range(c)] for _ in range(n)]


def amounts(rng):
    """Few rows, as the slow Gini goes through all their orders; never all 0, which Kaggle's code divides by."""
    n = rng.randint(1, 5)
    truth = [1.0] * n if rng.random() < 0.1 else [*rng.choices([0.0, 0.0, 1.0, 2.5], k=n - 1), rng.choice([1.0, 2.0])]
    return truth, rng.choices([0.0, 0.5, 1.0, 2.0], k=n)


def ranked(rng):
    n = rng.randint(1, 6)
    return rng.choices("abcd", k=n), [rng.choices("abcd", k=rng.randint(0, 6)) for _ in range(n)]


def confidences(rng):
    n = rng.randint(1, 7)
    truth = [" ".join(rng.sample("abc", rng.choice([0, 1, 1, 2]))) for _ in range(n)]
    said = [(rng.choice("abcz"), rng.choice([0.0, 0.25, 0.5, 1.0, -0.5, rng.random()])) for _ in range(n)]
    return truth, [pair if rng.random() < 0.8 else None for pair in said]


def neighbours(rng):
    """Few ids, so that lists repeat them; "y" and "z" are relevant to nothing."""
    n = rng.randint(1, 6)
    relevant = [set(rng.sample("abcdef", rng.choice([0, 1, 1, 2, 5]))) for _ in range(n)]
    return relevant, [rng.choices("abcdefyz", k=rng.choice([0, 1, 3, 6, 12])) for _ in range(n)]


LISTS = (ranked, confidences, neighbours)  # predictions that are no arrays


# -- slow implementations


def mean(numbers):
    numbers = list(numbers)
    return sum(numbers) / len(numbers)


def slow_accuracy(truth, predicted):
    return mean(1 if t == p else 0 for t, p in zip(truth, predicted, strict=True))


def slow_balanced_accuracy(truth, predicted):
    return mean(slow_accuracy([c] * truth.count(c), [p for t, p in zip(truth, predicted, strict=True) if t == c]) for c in set(truth))


def slow_mcc(truth, predicted):
    """The covariance of the two one-hot matrices over the root of their own: Gorodkin's definition, from its first equation."""
    if len(set(truth)) == 1:
        return None
    if len(set(predicted)) == 1:
        return 0.0
    classes = sorted(set(truth) | set(predicted))

    def covariance(a, b):
        total = 0.0
        for c in classes:
            x, y = [float(v == c) for v in a], [float(v == c) for v in b]
            total += mean((i - mean(x)) * (j - mean(y)) for i, j in zip(x, y, strict=True))
        return total

    return covariance(truth, predicted) / math.sqrt(covariance(truth, truth) * covariance(predicted, predicted))


def f_of(truth, predicted, beta):
    """From precision and recall of two 0/1 lists; None for 0 / 0."""
    both = sum(t and p for t, p in zip(truth, predicted, strict=True))
    if sum(truth) + sum(predicted) == 0:
        return None
    if both == 0:
        return 0.0
    precision, recall = both / sum(predicted), both / sum(truth)
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def one_hot(truth, predicted):
    """Columns of both, a pair for each class."""
    if isinstance(truth[0], list):
        return [([r[i] for r in truth], [r[i] for r in predicted]) for i in range(len(truth[0]))]
    classes = sorted(set(truth) | set(predicted))
    return [([int(t == c) for t in truth], [int(p == c) for p in predicted]) for c in classes]


def slow_f(truth, predicted, beta=1.0, average="binary"):
    if average == "binary":
        return f_of(truth, predicted, beta)
    columns = one_hot(truth, predicted)
    if all(sum(t) + sum(p) == 0 for t, p in columns):
        return None
    if average == "micro":
        return f_of([v for t, _ in columns for v in t], [v for _, p in columns for v in p], beta)
    if average == "samples":
        return mean(f_of(t, p, beta) or 0.0 for t, p in zip(truth, predicted, strict=True))
    if average == "macro":
        return mean(f_of(t, p, beta) or 0.0 for t, p in columns)
    if all(sum(t) == 0 for t, _ in columns):
        return None
    return sum(sum(t) * (f_of(t, p, beta) or 0.0) for t, p in columns) / sum(sum(t) for t, _ in columns)


def slow_kappa(truth, predicted):
    """After Kaggle's code: a matrix of counts against the one expected from both histograms."""
    low, high = min(truth + predicted), max(truth + predicted)
    levels, n = range(low, high + 1), len(truth)
    observed = expected = 0.0
    for i in levels:
        for j in levels:
            weight = (i - j) ** 2 / (len(levels) - 1) ** 2 if i != j else 0
            observed += weight * sum(t == i and p == j for t, p in zip(truth, predicted, strict=True)) / n
            expected += weight * truth.count(i) * predicted.count(j) / n / n
    return 1.0 if expected == 0 else 1 - observed / expected


def slow_log_loss(truth, predicted):
    def loss(p):
        return -math.log(max(min(p, 1 - 1e-15), 1e-15))

    total = []
    for t, p in zip(truth, predicted, strict=True):
        if isinstance(t, list):
            total.append(mean(loss(q if y else 1 - q) for y, q in zip(t, p, strict=True)))
        elif isinstance(p, list):
            if sum(p) == 0:
                return None
            total.append(loss(p[t] / sum(p)))
        else:
            total.append(loss(p if t else 1 - p))
    return mean(total)


def slow_brier(truth, predicted):
    total = []
    for t, p in zip(truth, predicted, strict=True):
        if isinstance(t, list):
            total.append(mean((q - y) ** 2 for y, q in zip(t, p, strict=True)))
        elif isinstance(p, list):
            total.append(sum((q - (i == t)) ** 2 for i, q in enumerate(p)))
        else:
            total.append((p - t) ** 2)
    return mean(total)


def over_classes(binary):
    """The mean over columns of a score of a binary task; None if any is None."""

    def score(truth, predicted):
        if not isinstance(predicted[0], list):
            return binary(truth, predicted)
        columns = range(len(predicted[0]))
        scores = [binary([t[i] if isinstance(t, list) else int(t == i) for t in truth], [p[i] for p in predicted]) for i in columns]
        return None if None in scores else mean(scores)

    return score


@over_classes
def slow_auc(truth, predicted):
    """Every pair of a positive and a negative row."""
    wins = [
        1.0 if p > q else 0.5 if p == q else 0.0
        for t, p in zip(truth, predicted, strict=True)
        for u, q in zip(truth, predicted, strict=True)
        if t == 1 and u == 0
    ]
    return mean(wins) if wins else None


@over_classes
def slow_average_precision(truth, predicted):
    """For every positive row the precision of all rows that are as high or higher."""
    return (
        mean(mean(u for u, q in zip(truth, predicted, strict=True) if q >= p) for t, p in zip(truth, predicted, strict=True) if t == 1)
        if sum(truth)
        else None
    )


def slow_gini(truth, predicted):
    """Kaggle's code, averaged over all orders of the rows, so over all orders of tied ones."""
    n = len(truth)
    if len(set(truth)) == 1:
        return None

    def kaggle(actual, guess):
        rows = sorted(range(n), key=lambda i: -guess[i])  # stable: ties stay in row order
        total = sum(actual)
        area = sum(sum(actual[i] for i in rows[: k + 1]) / total for k in range(n))
        return (area - (n + 1) / 2) / n

    orders = list(itertools.permutations(range(n)))
    return mean(kaggle([truth[i] for i in o], [predicted[i] for i in o]) for o in orders) / kaggle(truth, truth)


def errors(truth, predicted):
    return [t - p for t, p in zip(truth, predicted, strict=True)]


def slow_rmse(truth, predicted):
    return math.sqrt(mean(e * e for e in errors(truth, predicted)))


def slow_rmse_of(log, above):
    def score(truth, predicted):
        if any(v <= above for v in truth + predicted):
            return None
        return slow_rmse([log(t) for t in truth], [log(p) for p in predicted])

    return score


def slow_mape(truth, predicted):
    if any(t == 0 and p != 0 for t, p in zip(truth, predicted, strict=True)):
        return None
    return mean(0 if t == p else abs((t - p) / t) for t, p in zip(truth, predicted, strict=True))


def slow_smape(truth, predicted):
    return mean(0 if t == p else 200 * abs(t - p) / (abs(t) + abs(p)) for t, p in zip(truth, predicted, strict=True))


def slow_median_absolute_error(truth, predicted):
    ordered = sorted(abs(e) for e in errors(truth, predicted))
    n = len(ordered)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2


def slow_r2(truth, predicted):
    if len(set(truth)) == 1:
        return None
    return 1 - sum(e * e for e in errors(truth, predicted)) / sum((t - mean(truth)) ** 2 for t in truth)


def slow_pearson(truth, predicted):
    if len(set(truth)) == 1:
        return None
    if len(set(predicted)) == 1:
        return 0.0
    t, p = [v - mean(truth) for v in truth], [v - mean(predicted) for v in predicted]
    return sum(a * b for a, b in zip(t, p, strict=True)) / math.sqrt(sum(a * a for a in t)) / math.sqrt(sum(b * b for b in p))


def slow_spearman(truth, predicted):
    def ranks(column):
        return [sum(u < v for u in column) + (1 + sum(u == v for u in column)) / 2 for v in column]

    return slow_pearson(ranks(truth), ranks(predicted))


def slow_map_at_k(truth, predicted, k=5):
    """The full definition: precision at every rank that brings a new right answer, over the number of right answers, 1."""
    scores = []
    for answer, guesses in zip(truth, predicted, strict=True):
        hits, total = 0, 0.0
        for rank in range(1, min(k, len(guesses)) + 1):
            guess = guesses[rank - 1]
            if guess == answer and guess not in guesses[: rank - 1]:
                hits += 1
                total += hits / rank
        scores.append(total / 1)
    return mean(scores)


def slow_top_k_error(truth, predicted, k=3):
    return mean(0 if any(g == t for g in p[:k]) else 1 for t, p in zip(truth, predicted, strict=True))


def slow_gap(truth, predicted):
    """One answer after the other is taken off the heap of those left: the surest, of equals the first row's."""
    left = [row for row, pair in enumerate(predicted) if pair is not None]
    total, right, taken = 0.0, 0, 0
    while left:
        surest = max(predicted[row][1] for row in left)
        row = min(row for row in left if predicted[row][1] == surest)
        left.remove(row)
        taken += 1
        if predicted[row][0] in truth[row].split(" "):
            right += 1
            total += right / taken
    landmarks = sum(1 for text in truth if text != "")
    return total / landmarks if landmarks else None


def slow_retrieval_map(truth, predicted, k=100):
    """Repeated ids give way to a blank that nothing is; precision is then counted anew at each rank."""
    scores = []
    for relevant, ids in zip(truth, predicted, strict=True):
        once = [id if id not in ids[:rank] else None for rank, id in enumerate(ids)][:k]
        hits = [id in relevant for id in once]
        if relevant:
            scores.append(sum(mean(hits[: rank + 1]) for rank in range(len(hits)) if hits[rank]) / min(len(relevant), k))
    return mean(scores) if scores else None


def slow_recall(truth, predicted, k=10):
    asked = [(relevant, ids) for relevant, ids in zip(truth, predicted, strict=True) if len(relevant) > 0]
    return mean(1 if any(id in relevant for id in ids[:k]) else 0 for relevant, ids in asked) if asked else None


def slow_columnwise_mean(truth, predicted, of="rmse"):
    scores = [SLOW[of][1]([t[i] for t in truth], [p[i] for p in predicted]) for i in range(len(truth[0]))]
    return None if None in scores else mean(scores)


SLOW = {
    "accuracy": (labels, slow_accuracy, [{}]),
    "auc": (probabilities, slow_auc, [{}]),
    "average_precision": (probabilities, slow_average_precision, [{}]),
    "balanced_accuracy": (labels, slow_balanced_accuracy, [{}]),
    "brier": (probabilities, slow_brier, [{}]),
    "columnwise_mean": (targets, slow_columnwise_mean, [{"of": name} for name in ("rmse", "mae", "r2", "spearman", "rmsle")]),
    "f1": (zeros_and_ones, slow_f, [{}]),
    "f1_macro": (labels_or_matrix, lambda t, p: slow_f(t, p, average="macro"), [{}]),
    "f1_micro": (labels_or_matrix, lambda t, p: slow_f(t, p, average="micro"), [{}]),
    "f1_samples": (label_matrix, lambda t, p: slow_f(t, p, average="samples"), [{}]),
    "f1_weighted": (labels_or_matrix, lambda t, p: slow_f(t, p, average="weighted"), [{}]),
    "f_beta": (
        label_matrix,
        slow_f,
        [{"beta": b, "average": a} for b in (0.5, 1.0, 2.0) for a in ("micro", "macro", "weighted", "samples")],
    ),
    "gap": (confidences, slow_gap, [{}]),
    "gini": (amounts, slow_gini, [{}]),
    "log_loss": (probabilities, slow_log_loss, [{}]),
    "mae": (values, lambda t, p: mean(abs(e) for e in errors(t, p)), [{}]),
    "map_at_k": (ranked, slow_map_at_k, [{"k": 1}, {"k": 3}, {}]),
    "mape": (values, slow_mape, [{}]),
    "mcc": (labels, slow_mcc, [{}]),
    "median_absolute_error": (values, slow_median_absolute_error, [{}]),
    "pearson": (values, slow_pearson, [{}]),
    "quadratic_weighted_kappa": (ratings, slow_kappa, [{}]),
    "r2": (values, slow_r2, [{}]),
    "recall_at_k": (neighbours, slow_recall, [{"k": 1}, {"k": 4}, {}]),
    "retrieval_map_at_k": (neighbours, slow_retrieval_map, [{"k": 1}, {"k": 2}, {"k": 4}, {}]),
    "rmse": (values, slow_rmse, [{}]),
    "rmse_of_logs": (values, slow_rmse_of(math.log, above=0), [{}]),
    "rmsle": (values, slow_rmse_of(math.log1p, above=-1), [{}]),
    "smape": (values, slow_smape, [{}]),
    "spearman": (values, slow_spearman, [{}]),
    "top_k_error": (ranked, slow_top_k_error, [{"k": 1}, {}]),
}


@pytest.mark.parametrize("name", SLOW)
def test_metric_agrees_with_its_slow_implementation(name):
    draw, slow, choices = SLOW[name]
    metric, rng, defined = registry.find("metrics", name), random.Random(name), 0
    weighted = "weights" in inspect.signature(metric.score).parameters
    for _ in range(CASES):
        truth, predicted = draw(rng)
        options, weights, arguments = rng.choice(choices), [1] * len(truth), []
        if weighted and rng.random() < 0.5:
            weights = rng.choices([1, 2, 3], k=len(truth))
            arguments = [np.array(weights, float)]
        rows = [i for i, weight in enumerate(weights) for _ in range(weight)]
        expected = slow([truth[i] for i in rows], [predicted[i] for i in rows], **options)
        given = predicted if draw in LISTS else np.array(predicted)
        if expected is None:
            with pytest.raises(ScoreError):
                metric.score(np.array(truth), given, *arguments, **options)
            continue
        defined += 1
        found = metric.score(np.array(truth), given, *arguments, **options)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), (truth, predicted, weights, options)
    assert defined > CASES / 5


def test_f_beta_of_a_positive_class_agrees_with_its_slow_implementation():
    rng, f_beta = random.Random(0), registry.find("metrics", "f_beta")
    for _ in range(CASES):
        truth, predicted = zeros_and_ones(rng)
        if 1 in truth + predicted:
            found = f_beta.score(np.array(truth), np.array(predicted), beta=2)
            assert found == pytest.approx(slow_f(truth, predicted, beta=2)), (truth, predicted)
