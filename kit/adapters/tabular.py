"""Tables in CSV or parquet files: a row an example, its answer in one column or several.

A competition's adapter.py subclasses Tabular; what it usually overrides is `features`, ten lines of it, and `sample`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.adapters import _places
from kit.errors import DataError, bullets, did_you_mean, shorten
from kit.files import write_text
from kit.predictions import Predictions
from kit.reading import locate, read
from kit.registry import names
from kit.scoring import WEIGHT
from kit.tables import (
    FEATURE_KINDS,
    JOINT,
    ROLE_KINDS,
    TEXT_KINDS,
    Column,
    Tables,
    holds_arrays,
    infer_kind,
    show_id,
    typed,
    weights,
    with_ids,
)


class Tabular:
    exceptions: list[str] = []  # what `features` takes from test rows too, in words: it is recorded in every run
    ids_restart = False  # whether validation rows may have ids of training rows: theirs then begin with "validation/"

    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "train.csv",
        test: str = "test.csv",
        sample_submission: str = "",
        valid: str = "",
        id: str | list[str] = "id",
        id_by_position: bool = False,
        columns: dict[str, list[str]] = {},
        pictures: str = "",
        drop: list[str] = [],
        separator: str = "",
        encoding: str = "",
    ):
        """
        data               the folder of the files
        sample_submission  whose rows and columns a submission must have; "" is id and target
        valid              the host's own validation rows, for the fold scheme "given"
        id                 the column, or columns, that name a row; "" if there is none
        id_by_position     the n-th test row has the n-th id of the sample, since test rows carry no id
        columns            kind -> columns, where the inferred kind is not right; group, time, weight and given are roles,
                           and a column with a role alone is no feature; cells of kind image name files below the data folder
        pictures           where a row's picture lies, such as "{part}/{id}.jpg", which makes a column `image`: part is train, test
                           or validation, id the row's id, and the name of a column stands for its cell; an ending may be left
                           out, and a folder may lie in a zip
        drop               columns left out
        separator          of the CSV files; "" is found out
        encoding           of the CSV files; "" is UTF-8, or UTF-16 with its mark
        """
        self.data, self.task = Path(data), task
        self.train_file, self.test_file, self.sample_file, self.valid_file = train, test, sample_submission, valid
        self.id = [id] if isinstance(id, str) and id else list(id or [])
        self.id_by_position, self.columns, self.drop = id_by_position, columns, drop
        self.places = _places.Places(self.data, pictures)
        self.notes: list[str] = []  # on what was read
        self.form = {"separator": separator, "encoding": encoding}
        self.known_layout: tuple[list[str], list[str]] | None = None

    # --- raw files ---------------------------------------------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """What makes the data's fingerprint: tables by their bytes, folders of pictures by the names and sizes in them."""
        parts = ["train", *(["validation"] if self.valid_file else [])]
        return [*self._tables(self.train_file, self.valid_file), *self._folders(*parts), *self.test_files()]

    def test_files(self) -> list[Path]:
        """Those of them that a prediction reads."""
        return [*self._tables(self.test_file, self.sample_file), *self._folders("test")]

    def _tables(self, *names: str) -> list[Path]:
        return [locate(self.data / name) for name in names if name]

    def _folders(self, *parts: str) -> list[Path]:
        found = {self.places.folder(self._part(part)).top for part in parts} if self.places.pattern else set()
        return sorted(top for top in found if top.is_dir())

    def _part(self, part: str) -> str:
        """What {part} stands for in `pictures`."""
        return part

    def _text_columns(self) -> list[str]:
        named = [c for kind in TEXT_KINDS for c in self.columns.get(kind, [])]
        return [*self.id, *named, *self.places.words, *(self.task.targets if self.task.state().get("classes") is not None else [])]

    def read_train(self) -> pd.DataFrame:
        """Raw training rows, index id; with `valid` given, the host's validation rows too, told apart by column `given`."""
        frame = self._read_rows(self.train_file, "train")
        if self.valid_file:
            held = self._read_rows(self.valid_file, "validation")
            both = frame.index.intersection(held.index)
            if len(both) and self.ids_restart:
                held.index = "validation/" + held.index
            elif len(both):
                raise DataError(f"{len(both)} ids are in {self.train_file} and in {self.valid_file}: {shorten(both)}")
            frame = pd.concat([frame.assign(given=-1), held.assign(given=0)]).sort_index()
        return frame

    def _read(self, name: str, text: Sequence[str] = ()) -> pd.DataFrame:
        """The rows of a file as they are, some columns as text."""
        return read(self.data / name, text=[*self._text_columns(), *text], **self.form)

    def _read_rows(self, name: str, part: str) -> pd.DataFrame:
        frame = self._read(name)
        lacking = [c for c in self.task.targets if c not in frame]
        problems = [f'{name} has no target column "{c}"{did_you_mean(c, frame.columns)}' for c in lacking]
        if self.valid_file and "given" in frame:
            problems.append(f'{name} has a column "given", the word that tells rows of {self.valid_file} apart: rename it')
        known, made = list(frame.columns), self._made()
        problems += self.places.problems(known) if self.places.pattern else []
        for kind, listed in self.columns.items():
            if kind not in (*FEATURE_KINDS, *ROLE_KINDS, "given"):
                problems.append(f'input.columns has no kind "{kind}"{did_you_mean(kind, [*FEATURE_KINDS, *ROLE_KINDS])}')
            problems += [f'input.columns.{kind}: {name} has no column "{c}"{did_you_mean(c, known)}' for c in listed if c not in known and c not in made]
        problems += [f'input.drop: {name} has no column "{c}"{did_you_mean(c, known)}' for c in self.drop if c not in known and c not in made]
        found = [c for c in self.id if c in frame]
        if found and len(found) < len(self.id):
            problems.append(f"{name} has only some of the id columns: {shorten(found)} of {shorten(self.id)}")
        if self.id and not found and not self.id_by_position:
            problems.append(f'{name} has no id column "{self.id[0]}"{did_you_mean(self.id[0], frame.columns)}; if its rows have none, set input.id = ""')
        if problems:
            raise DataError(bullets(problems))
        if not len(frame):
            raise DataError(f"{name} has a header and no rows")
        return self._with_pictures(with_ids(frame, found, name), part)

    def _with_pictures(self, rows: pd.DataFrame, part: str) -> pd.DataFrame:
        return rows.assign(image=self.places.of(self._part(part), rows, self.id)) if self.places.pattern else rows

    def read_test(self, text: Sequence[str] = ()) -> pd.DataFrame:
        """Raw test rows, index id.

        text  columns that the training rows read as text
        """
        frame = self._read(self.test_file, text)
        if not len(frame):
            raise DataError(f"{self.test_file} has a header and no rows: there is nothing to predict")
        found = [c for c in self.id if c in frame]
        if self.id and len(found) == len(self.id):
            return self._with_pictures(with_ids(frame, found, self.test_file), "test")
        if not self.id_by_position and self.id:
            raise DataError(
                f'{self.test_file} has no id column "{self.id[0]}"{did_you_mean(self.id[0], frame.columns)}\n'
                "if its rows are named by their position in the sample submission, set input.id_by_position = true"
            )
        sample = self.sample()
        if sample is None:
            ids = pd.Index([str(n + 1) for n in range(len(frame))])
        elif len(sample) != len(frame):
            raise DataError(f"{self.test_file} has {len(frame)} rows and {self.sample_file} {len(sample)}: ids by position need as many of each")
        else:
            ids = sample.index
        frame.index = pd.Index(ids, dtype="str", name="id")
        return self._with_pictures(frame.sort_index(), "test")

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

    # --- tables ------------------------------------------------------------------------------------------------------------------

    def made_features(self) -> list[str]:
        """Names of the columns that `features` adds, so that the config may name their kinds."""
        return []

    def _made(self) -> set[str]:
        return {*self.made_features(), *(["image"] if self._makes_pictures() else [])}

    def _makes_pictures(self) -> bool:
        """Whether there is a column `image` that no file holds."""
        return bool(self.places.pattern)

    def features(self, rows: pd.DataFrame, everyone: pd.DataFrame) -> pd.DataFrame:
        """The rows with columns of the competition's own. Neither frame holds the target.

        everyone  training and test rows together: for the size of a group, and nothing else
        """
        return rows

    def tables(self) -> Tables:
        """The checked frames. Raises DataError with all that is wrong in a file."""
        self.notes = []
        raw = self.read_train()
        truth = self.truth(raw, self.train_file)
        self.task.learn(truth)
        roles = {kind: self._role(raw, kind) for kind in ("group", "time", "weight", "given") if self.columns.get(kind)}
        if "weight" in roles:
            roles["weight"] = weights(roles["weight"], self.train_file)
        if self.valid_file:
            roles["given"] = raw.pop("given")
        held_text = [c for c in raw if pd.api.types.is_string_dtype(raw[c])]
        tested = self.read_test(held_text)
        notes = [f'{self.test_file} holds the target "{c}": it is not used' for c in self.task.targets if c in tested]
        raw, tested = (f.drop(columns=self.task.targets, errors="ignore") for f in (raw, tested))
        train, test = (f.drop(columns=self.drop, errors="ignore") for f in self._with_features(raw, tested))
        del raw, tested  # typing frees a column at a time
        schema, more = self._schema(train, test)
        train, test = (self._located(typed(f, schema, name), schema, name) for f, name in ((train, self.train_file), (test, self.test_file)))
        return Tables(train, test, truth, schema, roles, [*notes, *self.notes, *more])

    def _located(self, rows: pd.DataFrame, schema: dict[str, Column], source: str) -> pd.DataFrame:
        """Typed rows with the full path of each picture. Raises DataError for a column whose pictures are all missing."""
        for name in [n for n, c in schema.items() if c.kind == "image" and not holds_arrays(rows[n])]:
            if name not in self._made():
                rows[name] = _places.located(self.data, rows[name])
            paths = rows[name].dropna()
            if len(paths) and not _places.any_there(self.data, paths):
                raise DataError(
                    f"none of the {len(paths)} pictures of {source} is there: {shorten(paths, 2)}\n"
                    f"{_places.described(self.data)}\n"
                    'input.pictures says where they lie, such as "{part}/{id}.jpg"'
                )
        return rows

    def _role(self, raw: pd.DataFrame, kind: str) -> pd.Series:
        """The values of a role: of several group columns the combination, of several time columns the date of year, month, day, hour, minute."""
        first, *more = self.columns[kind]
        if more and kind == "time":
            parts = zip(("year", "month", "day", "hour", "minute"), (raw[c] for c in self.columns[kind]))
            return pd.to_datetime(pd.DataFrame({"day": 1, **dict(parts)}, index=raw.index))
        return sum((JOINT + raw[c].astype("str") for c in more), start=raw[first].astype("str")) if more else raw[first]

    def new_rows(self, schema: dict[str, Column]) -> pd.DataFrame:
        """Test rows typed as a run's schema says. The training file is read only if `features` wants everyone."""
        tested = self.read_test([n for n, c in schema.items() if c.kind in TEXT_KINDS or c.date_format])
        tested = tested.drop(columns=self.task.targets, errors="ignore")
        if type(self).features is not Tabular.features:
            raw = self.read_train().drop(columns=[*self.task.targets, *(["given"] if self.valid_file else [])])
            _, tested = self._with_features(raw, tested)
        return self._located(typed(tested, schema, self.test_file), schema, self.test_file)

    def _with_features(self, train: pd.DataFrame, test: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        if type(self).features is Tabular.features:
            return train, test
        shared = [c for c in train if c in test]
        everyone = pd.concat([train[shared], test[shared]])
        return self.features(train.copy(), everyone), self.features(test.copy(), everyone)

    def _schema(self, train: pd.DataFrame, test: pd.DataFrame) -> tuple[dict[str, Column], list[str]]:
        told = {c: kind for kind in FEATURE_KINDS for c in self.columns.get(kind, [])} | ({"image": "image"} if self._makes_pictures() else {})
        role_only = {c for kind in (*ROLE_KINDS, "given") for c in self.columns.get(kind, [])} - set(told)
        schema, notes, missing, constant, nowhere = {}, [], [], [], []
        for name in train:
            if name in role_only:
                continue
            if name not in test:
                missing.append(name)
            elif holds_arrays(train[name]):
                schema[name] = Column("image")
            elif _is_constant(train[name]):
                constant.append(name)
            else:
                inferred = infer_kind(train[name])
                kind = told.get(name, inferred.kind)
                if kind == "image" and name not in {*told, *self.made_features()} and not _places.any_there(self.data, train[name].dropna()):
                    nowhere.append(name)
                    continue
                schema[name] = inferred if kind == inferred.kind else Column(kind)
        unread = [n for n, c in schema.items() if c.kind not in names("encoders")]
        if missing:
            notes.append(f"not in {self.test_file}, so left out: {shorten(missing)}")
        beyond = [name for name in test if name not in train]
        if beyond:
            notes.append(f"not in {self.train_file}, so left out: {shorten(beyond)}")
        if constant:
            notes.append(f"one value in all training rows, so left out: {shorten(constant)}")
        if nowhere:
            notes.append(f"names pictures, none of which is in {self.data}, so left out: {shorten(nowhere)}")
        if unread:
            notes.append(f"no encoder for their kind, so left out: {shorten(f'{n} ({schema[n].kind})' for n in unread)}")
        schema = {n: c for n, c in schema.items() if n not in unread}
        if not schema:
            raise DataError(f"{self.train_file} has no column to learn from besides id and target\n" + bullets(notes))
        return schema, notes

    # --- truth and submissions ---------------------------------------------------------------------------------------------------

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
        cells = pd.DataFrame(self.task.cells(predictions, post, columns, needs), index=predictions.rows["id"].to_numpy())
        ids = self.check_sample(cells.index)
        cells = cells.loc[list(ids)]
        parts = np.array([i.split(JOINT) for i in cells.index]).reshape(len(cells), -1)
        return pd.DataFrame({**{c: parts[:, n] for n, c in enumerate(id_columns)}, **{c: cells[c].to_numpy() for c in columns}})

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

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 300) -> None:
        """A small data folder in this competition's layout, with something in it to learn.

        The target depends on two numbers and a category; further columns are a text, a date and noise.
        """
        random = np.random.default_rng(0)
        frame = pd.DataFrame({name: [f"{n:05d}" for n in random.permutation(rows) + 1] for name in self.id[:1] or ["row"]})
        size, age = random.normal(size=rows), random.uniform(18, 80, rows).round(1)
        colour = random.choice(["red", "green", "blue"], rows)
        words = random.choice(["old", "new", "small", "large", "plain", "fine"], (rows, 6))
        frame = frame.assign(
            size=np.where(random.random(rows) < 0.1, np.nan, size.round(4)),
            age=age,
            colour=colour,
            description=[" ".join(w) + " thing for sale here" for w in words],
            listed=pd.Timestamp("2018-01-01") + pd.to_timedelta(random.integers(0, 700, rows), unit="D"),
            noise=random.normal(size=rows).round(4),
        )
        signal = 1.5 * size + (age - 50) / 15 + 2 * (colour == "red") + (words == "fine").sum(axis=1)
        answers = self._sample_answers(signal + random.normal(scale=0.5, size=rows))
        held = random.random(rows) < 0.3
        text = {self.train_file: frame[~held].assign(**answers[~held]), self.test_file: frame[held]}
        if self.sample_file:
            guess = answers[held].iloc[:1]
            text[self.sample_file] = frame[held].iloc[:, :1].assign(**{c: guess[c].iloc[0] for c in guess})
        for name, part in text.items():
            write_text(Path(folder) / name, part.to_csv(index=False, lineterminator="\n"))

    def _sample_answers(self, signal: np.ndarray) -> pd.DataFrame:
        kind, targets = type(self.task).__name__, self.task.targets
        ranks = pd.Series(signal).rank(pct=True).to_numpy()
        if kind == "Regression":
            return pd.DataFrame({t: (np.exp(signal / 3 + n) * 10).round(3) for n, t in enumerate(targets)})
        if kind == "Multilabel" and len(targets) > 1:
            return pd.DataFrame({t: (ranks > (n + 1) / (len(targets) + 1)).astype(int) for n, t in enumerate(targets)})
        if kind == "Multilabel":
            return pd.DataFrame({targets[0]: [self.task.separator.join(w for w, least in (("a", 0.3), ("b", 0.6)) if r > least) for r in ranks]})
        if kind == "Multiclass":
            return pd.DataFrame({targets[0]: np.array(["low", "middle", "high"])[np.minimum((ranks * 3).astype(int), 2)]})
        return pd.DataFrame({targets[0]: (ranks > 0.6).astype(int)})


def _is_constant(values: pd.Series) -> bool:
    """One value in all rows, or none at all. The first rows settle it for most columns."""
    if values.iloc[:1000].nunique(dropna=False) > 1:
        return False
    return values.nunique(dropna=False) < 2
