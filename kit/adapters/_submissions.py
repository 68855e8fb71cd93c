"""What an adapter makes of answers and of predictions: truth, and submissions in the layout of the sample."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.errors import DataError, bullets, shorten
from kit.predictions import Predictions
from kit.reading import read
from kit.scoring import WEIGHT
from kit.tables import JOINT, show_id, weights, with_ids


class Submissions:
    """The half of an adapter that reads no training or test rows, but for the order of the latter.

    data, task, id, form      where the files lie, what is asked, the columns of ids, and how a CSV file is read
    test_file, sample_file    of these names
    known_layout              (id columns, answer columns) of a submission, where no sample says them
    """

    data: Path
    task: Any
    id: list[str]
    form: dict[str, str]
    test_file: str
    sample_file: str
    known_layout: tuple[list[str], list[str]] | None
    many_rows = False  # whether a submission may have any number of rows an id, none included

    def truth(self, raw: pd.DataFrame, source: str = "the answers") -> pd.DataFrame:
        """`id` and the targets of raw rows (index id)."""
        return pd.DataFrame({"id": raw.index.to_numpy(), **{n: v.to_numpy() for n, v in self.task.read_target(raw, source).items()}})

    def answers(self, path: Path, weight: str = "") -> pd.DataFrame:
        """Truth from an answers file: the id, then the targets by name, or the one column that there is.

        weight  the column of the weights that the metric gives the rows; "" is none
        """
        frame = self._read_text(Path(path))
        if len(self.task.targets) == 1 and self.task.targets[0] not in frame and frame.shape[1] == 1:
            frame.columns = self.task.targets
        lacking = [c for c in self.task.targets if c not in frame]
        if lacking:
            raise DataError(f"{path} has no column {shorten(lacking)}; it has {shorten(frame.columns, 10)}")
        frame = frame.sort_index()
        truth = self.truth(frame, str(path))
        if weight and weight not in frame:
            raise DataError(f'{path} has no column "{weight}", which score.weight names: add it, since the metric weighs rows by it')
        return truth.assign(**{WEIGHT: weights(frame[weight], str(path)).to_numpy()}) if weight else truth

    def follow(self, id_columns: list[str], columns: list[str]) -> None:
        """Submissions in this layout and in the order of the test file, where there is no sample."""
        self.sample_file, self.known_layout = "", (id_columns, columns)

    def layout(self, needs: str) -> tuple[list[str], list[str]]:
        """(id columns, answer columns) of a submission."""
        if self.known_layout is not None:
            return self.known_layout
        sample = self.sample()
        if sample is not None:
            return sample.attrs["id"], list(sample.columns)
        classes = self.task.state().get("classes")
        wide = needs == "probability" and classes and self.task.outputs > 1
        return self.id or ["id"], classes if wide else self.task.targets

    def check_sample(self, test_ids: pd.Index) -> pd.Index:
        """The ids that a submission has, in its order. Raises DataError where the sample has others than the test rows."""
        sample = self.sample()
        ids = sample.index if sample is not None else self._ids_in_file_order()
        lacking, extra = ids.difference(test_ids), test_ids.difference(ids)
        if len(lacking) or len(extra):
            reasons = [f"{len(lacking)} ids of {self.sample_file} are not in {self.test_file}: {shorten(map(show_id, lacking))}"] if len(lacking) else []
            reasons += [f"{len(extra)} ids of {self.test_file} are not in {self.sample_file}: {shorten(map(show_id, extra))}"] if len(extra) else []
            raise DataError(bullets(reasons) + "\nare both files whole and of the same competition, and input.id the right column?")
        return ids

    def submission(self, predictions: Predictions, post: dict[str, Any], needs: str) -> pd.DataFrame:
        """Submission rows in the sample's order and columns. Raises DataError where test ids and sample ids differ."""
        id_columns, columns = self.layout(needs)
        cells = pd.DataFrame(self.task.cells(predictions, post, columns, needs), index=predictions.ids)
        ids = self.check_sample(cells.index)
        cells = cells.loc[list(ids)]
        parts = np.array([i.split(JOINT) for i in cells.index]).reshape(len(cells), -1)
        return pd.DataFrame({**{c: parts[:, n] for n, c in enumerate(id_columns)}, **{c: cells[c].to_numpy() for c in columns}})

    def submission_ids(self, ids: np.ndarray) -> pd.Index:
        """The ids of a submission's rows, each once; with `many_rows` those that it may have. Composite ones are joined by JOINT.

        ids  of the test rows
        """
        return pd.Index(ids, dtype="str")

    def _ids_in_file_order(self) -> pd.Index:
        frame = read(self.data / self.test_file, text=self.id, **self.form)
        if not all(c in frame for c in self.id) or not self.id:
            return pd.Index([str(n + 1) for n in range(len(frame))])
        return pd.Index([JOINT.join(p) for p in zip(*(frame[c] for c in self.id))])

    def read_submission(self, path: Path, needs: str) -> Predictions:
        """The inverse of writing one. Raises DataError where it has other columns than it should."""
        frame = self._read_text(Path(path))
        try:
            columns = self.layout(needs)[1]
        except DataError:  # graded without the competition's files: the submission's own columns must do
            columns = list(frame.columns)
        lacking = [c for c in columns if c not in frame]
        if lacking:
            raise DataError(f"{path} lacks column {shorten(lacking)}; it has {shorten(frame.columns, 10)}")
        return self.task.read_cells(frame.sort_index(), columns, needs)

    def sample(self) -> pd.DataFrame | None:
        """The sample submission: text cells, index id in the file's order; None if the config names none."""
        if not self.sample_file:
            return None
        frame = self._read_text(self.data / self.sample_file)
        if not len(frame.columns):
            raise DataError(f"{self.sample_file} has no column besides {shorten(frame.attrs['id'])}: expected one for the answers too")
        return frame

    def _read_text(self, path: Path) -> pd.DataFrame:
        frame = read(path, text=None, **self.form)
        columns = self.id if self.id and all(c in frame for c in self.id) else list(frame.columns[: max(len(self.id), 1)])
        order = with_ids(frame, columns, path.name)  # sorted, and checked
        ids = frame[columns[0]] if len(columns) == 1 else [JOINT.join(p) for p in zip(*(frame[c] for c in columns))]
        order = order.loc[list(ids)]
        order.attrs["id"] = columns
        return order
