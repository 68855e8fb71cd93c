"""Assigns every training row to folds: rows in, positions to train on and positions to validate on out.

Rows of one group always share a fold: two photos of one tower in train and validation would make the score look better than it is.
The caller sorts the rows by id, so the same ids give the same folds whatever the order in the files.
"""

from kit.folds._rows import COUNT, Fold, Rows
from kit.folds.cutting import FEWEST_TO_CUT, cut, cuts, dealt
from kit.folds.lacking import describe
from kit.folds.schemes import GROUPING, SCHEMES, split

ROLES = ("unused", "train", "valid")

__all__ = ["COUNT", "FEWEST_TO_CUT", "GROUPING", "ROLES", "SCHEMES", "Fold", "Rows", "cut", "cuts", "dealt", "describe", "split"]
