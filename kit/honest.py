"""The score of a blend that no row has flattered: a fold is scored by weights and post-processing that were fitted without it.

The same rows drawn again and again tell how far the score, and what it gains over a single run, would move with other rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from kit.combining import Members, Rule, checked
from kit.errors import ScoreError, shorten
from kit.folds import Rows, dealt
from kit.predictions import Predictions, joined
from kit.scoring import Score
from kit.stacking import Judge, cut

DRAWS, DRAWS_OF_OBJECTS = 200, 50
_MOST_DRAWN = {"array": 20_000, "list": 5_000, "object": 300}  # rows of a draw, by what a metric is given
_OBJECTS = ("boxes", "masks", "groups")
_REACH = 1.96  # standard errors on either side of a 95 % interval
_CUTS = 5  # of the rows of a single validated part


@dataclass(frozen=True)
class Nested:
    """
    oof    predictions of all rows, each by weights that were fitted without its part
    score  of each part, by post-processing that was fitted without it
    post   fitted on all rows of `oof`
    given  of each part what judges it, and what its metric is given: truth and predictions
    """

    oof: Predictions
    score: Score
    post: dict[str, Any]
    given: list[tuple[Judge, Any, Any]]


def nested(members: Members, judge: Judge, fit: Callable[[Members, Judge], Rule], alone: Sequence[np.ndarray]) -> Nested:
    """
    fit    weights from members and what judges them
    alone  positions of the rows that are hidden together: the parts of the folds, or cuts of the only one
    """
    n, made = len(members.ids), []
    parted = judge if len(judge.parts) > 1 else replace(judge, parts=list(alone))
    for held in alone:
        others = np.setdiff1d(np.arange(n), held)
        made.append(members.by(fit(members.take(others), parted.take(others))))
    oof = joined([checked(cut(m, held)) for m, held in zip(made, alone)])
    if len(judge.parts) < 2:  # a single part has no others for its post-processing: it keeps what its own rows give
        return told(judge, oof, [oof])
    return told(judge, oof, made)


def hidden(task: Any, truth: pd.DataFrame, groups: np.ndarray | None) -> list[np.ndarray]:
    """Positions in five cuts of rows, dealt by class: a metric may need each of them. Rows of a group stay together."""
    target, continuous = task.stratify_by(truth)
    return dealt(Rows(truth["id"].to_numpy(dtype=object), target, continuous, groups), 0, count=_CUTS)


def told(judge: Judge, oof: Predictions, made: Sequence[Predictions]) -> Nested:
    """What run.json says of out-of-fold predictions.

    made  predictions for all rows by what was fitted without each part, a part each; a single one stands for all of them
    """
    n, post, scores, given = len(oof.ids), judge.post(oof), [], []
    sign = 1 if judge.metric.greater_is_better else -1
    for k, own in enumerate(judge.parts):
        by, others, part = made[k if len(made) > 1 else 0], np.setdiff1d(np.arange(n), own), judge.take(own)
        fitted = _part_post(judge, by, others) if post and len(others) else post
        try:
            taken = part.given(cut(by, own), fitted)
            scores.append(sign * part.of(*taken))
        except ScoreError as error:
            raise ScoreError(f"{error}\nin the validated part with ids {shorten(oof.ids[own], 3)}\nuse fewer folds or a stratified scheme") from error
        given.append((part, *taken))
    return Nested(oof, Score(scores, judge.metric.score(judge.task, judge.truth, oof, post)), post, given)


def _part_post(judge: Judge, made: Predictions, others: np.ndarray) -> dict[str, Any]:
    return judge.take(others).post(cut(made, others))


def drawn_again(judge: Judge, contenders: Sequence[Nested]) -> np.ndarray | None:
    """(draws, contenders) mean score over the parts, of rows drawn with replacement within each part, the same for all contenders.

    A draw of m of n rows varies by sqrt(n / m) more than one of all (Bickel, Götze and van Zwet 1997, "Resampling fewer than n observations",
    section 2): above 20,000 rows fewer are drawn, and distances from the mean are shrunk by that. None where the metric is not defined for half of
    the draws.
    """
    arrays = all(isinstance(side, np.ndarray) for side in contenders[0].given[0][1:])
    kind = "object" if judge.metric.needs(judge.task.gives) in _OBJECTS else "array" if arrays else "list"
    counted = [part.counted[0] for part, _, _ in contenders[0].given]
    share = min(1.0, _MOST_DRAWN[kind] / sum(len(own) for own in counted))
    wanted, random, found = DRAWS_OF_OBJECTS if kind == "object" else DRAWS, np.random.default_rng(0), []
    for _ in range(2 * wanted):
        chosen = [random.choice(own, size=max(2, round(share * len(own)))) for own in counted]
        try:
            found.append([np.mean([part.score(true, predicted, rows) for (part, true, predicted), rows in zip(each.given, chosen)]) for each in contenders])
        except ScoreError:
            continue
        if len(found) == wanted:
            break
    else:
        return None
    scores = np.array(found)
    return scores.mean(axis=0) + (scores - scores.mean(axis=0)) * share**0.5


def interval(value: float, draws: np.ndarray) -> list[float]:
    """95 % interval of a value, whose spread is that of the draws."""
    reach = _REACH * float(draws.std(ddof=1))
    return [value - reach, value + reach]


