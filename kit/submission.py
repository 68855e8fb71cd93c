"""Writes a submission and checks it: against the sample file and against the test ids, cell by cell."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.errors import SubmissionError, bullets, shorten
from kit.files import whole
from kit.tables import JOINT, show_id


def check(frame: pd.DataFrame, id_columns: list[str], columns: list[str], ids: pd.Index, *, many: bool = False) -> None:
    """Raises SubmissionError with all that is wrong.

    frame    the submission's rows
    columns  the answer columns of the sample
    ids      of the rows that it must have, each once
    many     whether it may have any number of rows of each of these ids
    """
    wanted = [*id_columns, *columns]
    if list(frame.columns) != wanted:
        raise SubmissionError(f"the submission has columns {shorten(frame.columns, 10)}, and should have {shorten(wanted, 10)}")
    first, *more = (frame[c].astype("str") for c in id_columns)
    found = pd.Index(first.str.cat(more, sep=JOINT) if more else first, dtype="str")
    problems, wrong_ids = [], {"ids that should not be there": found.difference(ids)}
    if not many:
        wrong_ids |= {"ids missing": ids.difference(found), "ids more than once": found[found.duplicated()].unique()}
    for text, odd in wrong_ids.items():
        if len(odd):
            problems.append(f"the submission has {len(odd)} {text}: {shorten(map(show_id, odd))}")
    for name in columns:
        values = frame[name]
        if pd.api.types.is_float_dtype(values):
            wrong = ~np.isfinite(values)
            if wrong.any():
                problems.append(f"column {name} is not a finite number in {int(wrong.sum())} rows: ids {shorten(map(show_id, found[wrong.to_numpy()]))}")
        elif values.isna().any():
            problems.append(f"column {name} is missing in {int(values.isna().sum())} rows: ids {shorten(map(show_id, found[values.isna().to_numpy()]))}")
    if problems:
        raise SubmissionError(bullets(problems))


def write(frame: pd.DataFrame, path: Path) -> None:
    """CSV with the shortest digits that give the same number back."""
    with whole(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
