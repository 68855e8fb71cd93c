"""The ten schemes by name."""

from collections.abc import Callable
from typing import Any

from kit.errors import FoldError, did_you_mean
from kit.folds._rows import Fold, Rows
from kit.folds.drawn import group, holdout, kfold, stratified, stratified_group
from kit.folds.forward import group_time, time
from kit.folds.given import given
from kit.folds.unseen import classes, open_set

SCHEMES: dict[str, Callable[..., list[Fold]]] = {
    "kfold": kfold, "stratified": stratified, "group": group, "stratified_group": stratified_group,
    "time": time, "group_time": group_time, "holdout": holdout, "given": given, "classes": classes, "open_set": open_set,
}  # fmt: skip
GROUPING = ("group", "stratified_group", "group_time", "holdout", "open_set")  # schemes that keep groups whole


def split(rows: Rows, *, scheme: str = "kfold", **options: Any) -> list[Fold]:
    """The folds of a scheme, repeat by repeat; `options` are the keyword-only parameters of SCHEMES[scheme].

    Every scheme takes count (folds), repeats (splits, each drawn anew) and seed, and says which of them it does not use.
    Raises FoldError if the rows cannot be split so.
    """
    if scheme not in SCHEMES:
        raise FoldError(f'score.folds.scheme: no fold scheme "{scheme}"{did_you_mean(scheme, SCHEMES)}')
    return SCHEMES[scheme](rows, **options)
