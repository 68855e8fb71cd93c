"""What folds lack that is worth a warning."""

import numpy as np
import pandas as pd

from kit.errors import shorten
from kit.folds._rows import Fold, Rows


def describe(rows: Rows, folds: list[Fold], scheme: str = "") -> list[str]:
    """Warnings about classes or labels that a fold lacks; none where the target is a number or is not known, or the scheme means it so."""
    if rows.target is None or rows.continuous or scheme in ("classes", "open_set"):
        return []
    one_each = rows.target.ndim == 1
    codes, names = pd.factorize(rows.target) if one_each else (None, np.arange(rows.target.shape[1]))
    word, found = "class" if one_each else "label", []
    for fold in folds:
        title = f"repeat {fold.repeat} fold {fold.fold}" if fold.repeat else f"fold {fold.fold}"
        for verb, part in (("validates", fold.valid), ("trains on", fold.train)):
            seen = np.isin(np.arange(len(names)), codes[part]) if one_each else rows.target[part].any(axis=0)
            if one_each and seen.sum() == 1 < len(names):
                found.append(f"{title} {verb} only class {names[seen][0]} ({len(part)} rows)")
            elif not seen.all():
                found.append(f"{title} {verb} no row of {word} {shorten(names[~seen])}")
    return found
