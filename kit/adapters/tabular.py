"""Tables in CSV or parquet files: a row an example, its answer in one column or several.

For retrieval a further table is the gallery, in which the test rows are queries; the training rows may be those of another competition.

A competition's adapter.py subclasses Tabular; what it usually overrides is `features`, ten lines of it, and `sample`.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from kit.adapters import _places, _sample_table
from kit.adapters._lender import Lender, lent, one_class_a_row
from kit.adapters._submissions import Submissions
from kit.errors import ConfigError, DataError, bullets, did_you_mean, shorten
from kit.reading import locate, read
from kit.registry import names
from kit.stores import CALLED
from kit.tables import (
    FEATURE_KINDS,
    JOINT,
    MEDIA,
    ROLE_KINDS,
    TEXT_KINDS,
    Column,
    Tables,
    holds_arrays,
    infer_kind,
    mended,
    typed,
    weights,
    with_ids,
)


class Tabular(Submissions):
    exceptions: list[str] = []  # what `features` takes from test rows too, in words: it is recorded in every run
    media = "image"  # kind of the column that `pictures` makes
    tolerant = False  # whether cells of new rows that should be numbers or dates and are none count as missing: they are told in `notes`
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
        gallery: str = "",
        labels_from: str = "",
        labels_data: str = "",
    ):
        """
        data               the folder of the files
        train              the training rows; "" where a retrieval has no labels: the gallery's rows then stand in their place
        sample_submission  whose rows and columns a submission must have; "" is id and target
        valid              the host's own validation rows, for the fold scheme "given"
        id                 the column, or columns, that name a row; "" if there is none
        id_by_position     the n-th test row has the n-th id of the sample, since test rows carry no id
        columns            kind -> columns, where the inferred kind is not right; group, time, weight and given are roles,
                           and a column with a role alone is no feature; cells of kind image and audio name files below the data folder
        pictures           where a row's picture lies, such as "{part}/{id}.jpg", which makes a column `image`: part is train, test
                           or validation, id the row's id, and the name of a column stands for its cell; an ending may be left
                           out, and a folder may lie in a zip
        drop               columns left out
        separator          of the CSV files; "" is found out
        encoding           of the CSV files; "" is UTF-8, or UTF-16 with its mark
        gallery            for retrieval: the rows that queries look for, as a table in the form of test; may be train itself
        labels_from        another competition, by name or folder, whose training rows and labels are learned from; train is not read then
        labels_data        the folder of its files; "" is one in the data folder or beside it that is called as the other competition is on
                           Kaggle or here, else where the other keeps its own

        Raises ConfigError for options that do not go with one another or with the task, all at once.
        """
        self.data, self.task = Path(data), task
        self.train_file, self.test_file, self.sample_file, self.valid_file = train, test, sample_submission, valid
        self.id = [id] if isinstance(id, str) and id else list(id or [])
        self.id_by_position, self.columns, self.drop = id_by_position, columns, drop
        self.places = _places.Places(self.data, pictures, self.media)
        self.notes: list[str] = []  # on what was read
        self.form = {"separator": separator, "encoding": encoding}
        self.known_layout: tuple[list[str], list[str]] | None = None
        self.gallery_file, self.labels_from, self.labels_data = gallery, labels_from, labels_data
        self.lender: Lender | None = None  # given by whoever opens the competition, where labels_from names one
        if problems := self._option_problems():
            raise ConfigError(bullets(problems))

    @classmethod
    def fold_problems(cls, options: dict[str, Any], scheme: str, given: dict[str, Any]) -> list[str]:
        """What would stand on both sides of a fold: by the adapter's options as the config has them, and a fold scheme with its own."""
        return []

    def _option_problems(self) -> list[str]:
        kind, searches = type(self.task).__name__.lower(), getattr(self.task, "searches", False)
        wrong = {
            f'input.gallery is for task "retrieval", and the task is "{kind}"': self.gallery_file and not searches,
            f'input.gallery is missing: task "{kind}" ranks its rows for each row of {self.test_file}': searches and not self.gallery_file,
            "input.gallery: what is found is named by its id: give the one column of ids, input.id": searches and (len(self.id) != 1 or self.id_by_position),
            'input.train is missing: only retrieval, and a competition with labels_from, do without one': not (self.train_file or self.labels_from or searches),
            "input.valid: no host validates rows that input.labels_from names: leave one of them out": self.valid_file and self.labels_from,
            f'input.labels_from: its labels are classes, and the task is "{kind}"': self.labels_from and not one_class_a_row(self.task),
            "input.labels_data says where the files of input.labels_from are, which is not given": self.labels_data and not self.labels_from,
        }
        return [problem for problem, is_so in wrong.items() if is_so]

    # --- whose rows are learned from ---------------------------------------------------------------------------------------------

    @property
    def labelled(self) -> bool:
        """Whether the training rows have labels."""
        return bool(self.train_file or self.labels_from)

    @property
    def answered(self) -> list[str]:
        """The columns of the training file that hold the answers."""
        return [self.task.label] if getattr(self.task, "label", "") else self.task.targets

    @cached_property
    def _owner(self) -> "Tabular":
        """The adapter whose folder the training rows and their pictures lie in."""
        assert self.lender is not None or not self.labels_from, "Competition.open_adapter gives the lender"
        return self.lender.open(None) if self.lender is not None else self

    @property
    def _source(self) -> str:
        """The training rows' file, for messages."""
        if self.lender is not None:
            return f"{self.lender.name}'s {self._owner.train_file}"
        return self.train_file or self.gallery_file

    # --- raw files ---------------------------------------------------------------------------------------------------------------

    def files(self) -> list[Path]:
        """What makes the data's fingerprint: tables by their bytes, folders of pictures by the names and sizes in them."""
        return [*self.train_files(), *self.test_files()]

    def train_files(self) -> list[Path]:
        """Those of them that hold what is learned from; they may be another competition's."""
        if self.labels_from:
            return self._owner.train_files()
        parts = ["train"] * bool(self.train_file) + ["validation"] * bool(self.valid_file)
        return [*self._tables(self.train_file, self.valid_file), *self._folders(*parts)]

    def test_files(self) -> list[Path]:
        """Those of them that a prediction reads."""
        parts = ["test"] + ["gallery"] * bool(self.gallery_file)
        return [*self._tables(self.test_file, self.sample_file, self.gallery_file), *self._folders(*parts)]

    def _tables(self, *names: str) -> list[Path]:
        return [locate(self.data / name) for name in names if name]

    def _folders(self, *parts: str) -> list[Path]:
        found = {self.places.folder(self._part(part)).top for part in parts} if self.places.pattern else set()
        return sorted(top for top in found if top.exists())

    def _part(self, part: str) -> str:
        """What {part} stands for in `pictures`: training rows without a folder of their own have their pictures in the gallery's."""
        if part == "train" and self.gallery_file and not self.places.folder("train").is_there:
            return self._part("gallery")
        return stem_of(self.gallery_file) if part == "gallery" else part

    def _text_columns(self) -> list[str]:
        named = [c for kind in TEXT_KINDS for c in self.columns.get(kind, [])]
        return [*self.id, *named, *self.places.words, *(self.answered if self.task.state().get("classes") is not None else [])]

    def read_train(self) -> pd.DataFrame:
        """Raw training rows, index id; with `valid` given, the host's validation rows too, told apart by column `given`.

        With `labels_from` given they are the other competition's; without labels they are the gallery's.
        """
        if self.labels_from:
            frame, notes = lent(self.lender.name, self._owner, self.answered[0])
            self.notes += notes
            if problems := self._column_problems(self._source, frame):
                raise DataError(bullets(problems))
            return frame
        if not self.train_file:
            frame = self.read_gallery()
            if problems := self._column_problems(self._source, frame):
                raise DataError(bullets(problems))
            return frame
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
        lacking = [c for c in self.answered if c not in frame]
        problems = [f'{name} has no target column "{c}"{did_you_mean(c, frame.columns)}' for c in lacking]
        if self.valid_file and "given" in frame:
            problems.append(f'{name} has a column "given", the word that tells rows of {self.valid_file} apart: rename it')
        problems += self.places.problems(frame.columns) if self.places.pattern else []
        problems += self._column_problems(name, frame)
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

    def _column_problems(self, name: str, frame: pd.DataFrame) -> list[str]:
        """What input.columns and input.drop name that is not among the training rows' columns."""
        problems, known, made = [], list(frame.columns), self._made()
        for kind, listed in self.columns.items():
            if kind not in (*FEATURE_KINDS, *ROLE_KINDS, "given"):
                problems.append(f'input.columns has no kind "{kind}"{did_you_mean(kind, [*FEATURE_KINDS, *ROLE_KINDS])}')
            problems += [f'input.columns.{kind}: {name} has no column "{c}"{did_you_mean(c, known)}' for c in listed if c not in known and c not in made]
        problems += [f'input.drop: {name} has no column "{c}"{did_you_mean(c, known)}' for c in self.drop if c not in known and c not in made]
        return problems

    def _with_pictures(self, rows: pd.DataFrame, part: str) -> pd.DataFrame:
        return rows.assign(**{self.media: self.places.of(self._part(part), rows, self.id)}) if self.places.pattern else rows

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

    def read_gallery(self, text: Sequence[str] = ()) -> pd.DataFrame:
        """Raw rows of the gallery, index id, which a test row may have too.

        text  columns that the training rows read as text
        """
        name = self.gallery_file
        frame = self._read(name, text)
        if not len(frame):
            raise DataError(f"{name} has a header and no rows: there is nothing to find")
        if self.id[0] not in frame:
            raise DataError(f'{name} has no id column "{self.id[0]}"{did_you_mean(self.id[0], frame.columns)}: what is found is named by it')
        return self._with_pictures(findable(with_ids(frame, self.id, name), name), "gallery")

    # --- tables ------------------------------------------------------------------------------------------------------------------

    def made_features(self) -> list[str]:
        """Names of the columns that `features` adds, so that the config may name their kinds."""
        return []

    def _made(self) -> set[str]:
        return {*self.made_features(), *([self.media] if self._makes_pictures() else [])}

    def _makes_pictures(self) -> bool:
        """Whether there is a column of pictures, or of sounds, that no file holds."""
        return bool(self.places.pattern)

    def features(self, rows: pd.DataFrame, everyone: pd.DataFrame) -> pd.DataFrame:
        """The rows with columns of the competition's own. Neither frame holds the target.

        everyone  training, test and gallery rows together: for the size of a group, and nothing else
        """
        return rows

    def tables(self) -> Tables:
        """The checked frames. Raises DataError with all that is wrong in a file."""
        self.notes = []
        raw = self.read_train()
        truth = None
        if self.labelled:
            truth = self.truth(raw, self._source)
            self.task.learn(truth)
        roles = {kind: self._role(raw, kind) for kind in ("group", "time", "weight", "given") if self.columns.get(kind)}
        if "weight" in roles:
            roles["weight"] = weights(roles["weight"], self._source)
        if self.valid_file:
            roles["given"] = raw.pop("given")
        held_text = [c for c in raw if pd.api.types.is_string_dtype(raw[c])]
        frames = {"train": raw, "test": self.read_test(held_text)}
        if self.gallery_file and self.labelled:  # else it is what stands in the place of train
            frames["gallery"] = self.read_gallery(held_text)
        notes = [f'{self.test_file} holds the target "{c}": it is not used' for c in self._targets() if c in frames["test"]]
        frames = {part: f.drop(columns=self._targets(), errors="ignore") for part, f in frames.items()}
        frames = {part: f.drop(columns=self.drop, errors="ignore") for part, f in self._with_features(frames).items()}
        del raw  # typing frees a column at a time
        schema, more = self._schema(frames["train"], frames["test"])
        for part, owner, name in (("train", self._owner, self._source), ("test", self, self.test_file), ("gallery", self, self.gallery_file)):
            if part in frames:
                frames[part] = owner._located(typed(frames[part], schema, name), schema, name)
        gallery = frames.get("gallery", frames["train"]) if self.gallery_file else None
        return Tables(frames["train"], frames["test"], truth, schema, roles, [*notes, *self.notes, *more], gallery)

    def _targets(self) -> list[str]:
        """Columns that are no features wherever they stand."""
        return [*self.task.targets, *(c for c in self.answered if c not in self.task.targets)]

    def _located(self, rows: pd.DataFrame, schema: dict[str, Column], source: str) -> pd.DataFrame:
        """Typed rows with the full path of each picture and each sound. Raises DataError for a column whose files are all missing."""
        for name in [n for n, c in schema.items() if c.kind in MEDIA and not holds_arrays(rows[n])]:
            if name not in self._made():
                rows[name] = _places.located(self.data, rows[name], schema[name].kind)
            paths = rows[name].dropna()
            if len(paths) and not _places.any_there(self.data, paths):
                kind = schema[name].kind
                one, ending = CALLED[kind], MEDIA[kind][0]
                told = f'input.{one}s says where they lie, such as "{{part}}/{{id}}{ending}"' if kind == self.media else "write in the table where they lie in the folder"
                raise DataError(f"none of the {len(paths)} {one}s of {source} is there: {shorten(paths, 2)}\n{_places.described(self.data)}\n{told}")
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
        return self._new(schema, "test", self.test_file)

    def new_gallery(self, schema: dict[str, Column]) -> pd.DataFrame:
        """Likewise the gallery's."""
        return self._new(schema, "gallery", self.gallery_file)

    def _new(self, schema: dict[str, Column], part: str, name: str) -> pd.DataFrame:
        text = [n for n, c in schema.items() if c.kind in TEXT_KINDS or c.date_format]
        asked = {"test": self.read_test, **({"gallery": self.read_gallery} if self.gallery_file else {})}
        frames = {}
        if type(self).features is Tabular.features:
            asked = {part: asked[part]}
        elif self.labelled:
            frames["train"] = self.read_train()
            text += [c for c in frames["train"] if pd.api.types.is_string_dtype(frames["train"][c])]  # a few blank cells alone would be read as numbers
        frames |= {other: read_rows(text) for other, read_rows in asked.items()}
        if self.tolerant:
            self.notes += mended(frames[part], schema, name)
        frames = {other: f.drop(columns=[*self._targets(), *(["given"] if self.valid_file else [])], errors="ignore") for other, f in frames.items()}
        return self._located(typed(self._with_features(frames)[part], schema, name), schema, name)

    def _with_features(self, frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        if type(self).features is Tabular.features:
            return frames
        first, *others = frames.values()
        shared = [c for c in first if all(c in f for f in others)]
        everyone = pd.concat([f[shared] for f in frames.values()])
        return {part: self.features(f.copy(), everyone) for part, f in frames.items()}

    def _schema(self, train: pd.DataFrame, test: pd.DataFrame) -> tuple[dict[str, Column], list[str]]:
        told = {c: kind for kind in FEATURE_KINDS for c in self.columns.get(kind, [])} | ({self.media: self.media} if self._makes_pictures() else {})
        role_only = {c for kind in (*ROLE_KINDS, "given") for c in self.columns.get(kind, [])} - set(told)
        schema, notes, missing, constant = {}, [], [], []
        nowhere: dict[str, list[str]] = {}
        for name in train:
            if name in role_only:
                continue
            if name not in test:
                missing.append(name)
            elif holds_arrays(train[name]):
                schema[name] = Column(told.get(name, self.media))
            elif _is_constant(train[name]):
                constant.append(name)
            else:
                inferred = infer_kind(train[name])
                kind = told.get(name, inferred.kind)
                if kind in MEDIA and name not in {*told, *self.made_features()} and not _places.any_there(self._owner.data, train[name].dropna()):
                    nowhere.setdefault(CALLED[kind], []).append(name)
                    continue
                schema[name] = inferred if kind == inferred.kind else Column(kind)
        unread = [n for n, c in schema.items() if c.kind not in names("encoders")]
        if missing:
            notes.append(f"not in {self.test_file}, so left out: {shorten(missing)}")
        beyond = [name for name in test if name not in train]
        if beyond:
            notes.append(f"not in {self._source}, so left out: {shorten(beyond)}")
        if constant:
            notes.append(f"one value in all training rows, so left out: {shorten(constant)}")
        for one, columns in nowhere.items():
            notes.append(f"names {one}s, none of which is in {self._owner.data}, so left out: {shorten(columns)}")
        if unread:
            notes.append(f"no encoder for their kind, so left out: {shorten(f'{n} ({schema[n].kind})' for n in unread)}")
        schema = {n: c for n, c in schema.items() if n not in unread}
        if not schema:
            raise DataError(f"{self._source} has no column to learn from besides id and target\n" + bullets(notes))
        return schema, notes

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 300) -> None:
        """A small data folder in this competition's layout, with something in it to learn."""
        _sample_table.write(folder, self.task, self.id, self.train_file, self.test_file, self.sample_file, rows)


def _is_constant(values: pd.Series) -> bool:
    """One value in all rows, or none at all. The first rows settle it for most columns."""
    if values.iloc[:1000].nunique(dropna=False) > 1:
        return False
    return values.nunique(dropna=False) < 2


def stem_of(name: str) -> str:
    """ "lists/index.csv.gz" is index."""
    return Path(name).name.split(".")[0]


def findable(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """The gallery's rows. Raises DataError for ids that cannot stand in a list of ids."""
    spaced = [id for id in rows.index if len(id.split()) > 1 or id != id.strip()]
    if spaced:
        raise DataError(f"{len(spaced)} ids of {source} hold a space, which stands between the ids of an answer: {shorten(map(repr, spaced), 3)}\nrename them")
    return rows
