"""Pictures with instance pictures beside them, whose values say of which object a pixel is; frames of videos, where lists name their clips.

A submission has a row for each object, and none for a picture in which nothing was found.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import masks
from kit.adapters import _sample_scenes
from kit.adapters._clips import clip_problems
from kit.adapters._instances import Values, gathered
from kit.adapters._places import Places, is_medium, last, stem
from kit.adapters.image import Image
from kit.errors import ConfigError, DataError, bullets, did_you_mean, shorten
from kit.found import Found, Mask
from kit.machine import cores
from kit.masks import Dialect
from kit.pictures import measure
from kit.predictions import Predictions
from kit.reading import read
from kit.stores import Damaged

_CLIP = "clip"  # column of the clip that a frame is of
_CELLS = ("label", "score", "mask", "pixels")


class Segmentation(Image):
    many_rows = True
    cache: Path | None = None  # folder of what was read from the instance pictures; given by whoever opens the competition
    progress: Callable[[str], None] = staticmethod(lambda line: None)

    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "train",
        test: str = "test",
        sample_submission: str = "",
        id: str = "id",
        pictures: str = "{part}/{id}",
        labels: str = "{part}_labels/{id}.png",
        divisor: int = 1000,
        ignored: list[int] = [],
        groups: dict[str, str] = {},
        most_damaged: float = 0.1,
        clips: str = "",
        test_clips: str = "",
        clip: str = "",
        cells: dict[str, str] = {"label": "label", "score": "score", "mask": "mask"},
        dialect: Dialect = "rows_from_0",
        columns: dict[str, list[str]] = {},
    ):
        """
        train, test       folders of pictures
        id                the submission's column of ids: names of files without their endings
        pictures          where the picture of an id lies; part is what train and test say
        labels            where the instance picture of a training picture lies: 8 or 16 bits, grey or with a palette
        divisor           a value is divisor x class + number of the object; smaller ones are of no object, unless they are named next
        ignored           values of regions that are neither found nor missed
        groups            class -> the class that it is a group of, whose single objects are neither found nor missed there
        most_damaged      0..1, share of the instance pictures that may be missing or broken: such training pictures are left out
        clips, test_clips folders of lists, one a clip, whose lines begin with a frame; frames of a clip stay in one fold, and only fold schemes that see to it will do
        clip              an answers file's column of clips, for frames that no list names
        cells             column of the submission -> what is in it: "label", "score", "mask", and where it is asked for "pixels", their number
        dialect           of the masks in a submission
        columns           as in the adapter tabular
        """
        if clips and "group" not in columns:
            columns = {**columns, "group": [_CLIP]}
        super().__init__(data, task, train=train, test=test, sample_submission=sample_submission, id=id, pictures=pictures, columns=columns)
        self.labels, self.most_damaged, self.dialect = Places(self.data, labels), most_damaged, dialect
        self.clips, self.test_clips, self.clip, self.holds = clips, test_clips, clip, {what: column for column, what in cells.items()}
        problems = [f'input.groups: "{name}" is no whole number' for name in groups if not name.isdecimal()]
        problems += [f'input.cells: "{what}" is not what a cell may hold{did_you_mean(what, _CELLS)}' for what in self.holds if what not in _CELLS]
        problems += [f'input.cells names no column for "{what}"' for what in _CELLS[:3] if what not in self.holds]
        problems += ["input.cells names two columns for one thing"] if len(self.holds) < len(cells) else []
        if self.holds.get("mask") not in (None, *task.targets):
            problems.append(f'output.target = "{task.targets[0]}" is not the column of masks, which is "{self.holds["mask"]}" by input.cells')
        problems += [f"input.divisor = {divisor}: expected 1 or more"] if divisor < 1 else []
        if problems:
            raise ConfigError(bullets(problems))
        self.values = Values(divisor, frozenset(ignored), {int(name): own for name, own in groups.items()})
        self.columns_in_order = list(cells)
        self._answered: list[str] = []

    @classmethod
    def fold_problems(cls, options: dict[str, Any], scheme: str, given: dict[str, Any]) -> list[str]:
        return clip_problems(options, scheme)

    # --- rows --------------------------------------------------------------------------------------------------------------------

    def train_files(self) -> list[Path]:
        folders = [self.labels.folder(self.train_file).top, self.data / self.clips] if self.clips else [self.labels.folder(self.train_file).top]
        return [*super().train_files(), *(folder for folder in folders if folder.exists())]

    def _read_rows(self, name: str, part: str) -> pd.DataFrame:
        ids = self._ids_of_folder(name, "training rows", "put them into a folder of their own (input.train)", "there is nothing to learn from")
        rows = self._with_pictures(pd.DataFrame(index=ids.sort_values()), part)
        paths = self.labels.of(name, rows, self.id, look=False)
        threads = cores()
        found, damage = gathered(list(paths), self.values, folder=self.cache, threads=threads, progress=self.progress)
        if damage:
            told = shorten((f"{paths.iloc[n].removeprefix(f'{self.data}/')}: {kind}" for n, kind in damage.items()), 3)
            if len(damage) > self.most_damaged * len(rows):
                raise DataError(f"{len(damage)} of {len(rows)} instance pictures cannot be used: {told}\ninput.labels says where they lie, input.most_damaged how many may be missing")
            self.notes.append(f"{len(damage)} of {len(rows)} training pictures have no instance picture that can be read, so left out: {told}")
        if self.clips:
            clips = self._clips(self.clips)
            unnamed = [id for id in rows.index if id not in clips]
            if unnamed:
                self.notes.append(f"{len(unnamed)} training pictures are in no list of {self.clips}, and count as one clip: {shorten(unnamed, 3)}")
            rows[_CLIP] = [clips.get(id, "") for id in rows.index]
            found = [replace(own, clip=clip) for own, clip in zip(found, rows[_CLIP])]
        rows[self.task.targets[0]] = pd.Series(found, index=rows.index, dtype=object)
        return rows.drop(index=rows.index[list(damage)])

    def _clips(self, name: str) -> dict[str, str]:
        """Frame -> the name of the list that it is in. Raises DataError for a frame of two clips, and where there is no list."""
        folder = self.data / name
        lists = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")) if folder.is_dir() else []
        if not lists:
            raise DataError(f"no lists of clips in {folder}: expected a text file a clip, whose lines begin with the name of a frame")
        found: dict[str, str] = {}
        twice = []
        for path in lists:
            for line in path.read_text(encoding="utf-8").splitlines():
                if words := line.split():
                    id = _stem(words[0])
                    twice += [id] if found.get(id, path.stem) != path.stem else []
                    found[id] = path.stem
        if twice:
            raise DataError(f"{len(twice)} frames are in two lists of {folder}: {shorten(twice, 3)}\na frame is of one clip")
        return found

    # --- submissions -------------------------------------------------------------------------------------------------------------

    def sample(self) -> None:
        """A submission may have any number of rows: the sample tells the order of columns alone, and the test folder the rows."""
        return None

    def layout(self, needs: str) -> tuple[list[str], list[str]]:
        if self.known_layout is not None:
            return self.known_layout
        if not self.sample_file:
            return self.id, self.columns_in_order
        header = list(read(self.data / self.sample_file, text=None, **self.form).columns)
        odd, lacking = ([c for c in some if c not in other] for some, other in ((header, [*self.id, *self.columns_in_order]), ([*self.id, *self.columns_in_order], header)))
        problems = [f"{self.sample_file} has a column {shorten(odd)} that input.cells says nothing of"] if odd else []
        problems += [f"{self.sample_file} has no column {shorten(lacking)}, which input.cells or input.id names; it has {shorten(header, 10)}"] if lacking else []
        if problems:
            raise DataError(bullets(problems))
        return self.id, [c for c in header if c not in self.id]

    def check_sample(self, test_ids: pd.Index) -> pd.Index:
        """The test pictures. Raises DataError where the sample names others: pictures without objects need not be in it."""
        if self.sample_file:
            self.layout("masks")
            named = pd.Index(read(self.data / self.sample_file, text=None, **self.form)[self.id[0]]).unique()
            if len(extra := named.difference(test_ids)):
                raise DataError(f"{len(extra)} ids of {self.sample_file} are of no picture in {self.test_file}: {shorten(extra)}\nare both whole and of the same competition?")
        return test_ids

    def submission(self, predictions: Predictions, post: dict[str, Any], needs: str) -> pd.DataFrame:
        """A row for each object, in the sample's columns; pictures in the order of their ids, the surest object first."""
        id_columns, columns = self.layout(needs)
        rows = predictions.rows
        held = {"label": rows["label"], "score": rows["score"], "mask": rows["rle"]}
        if "pixels" in self.holds or self.dialect != "rows_from_0":
            found = [masks.decode(text) for text in rows["rle"]]
            held["pixels"] = masks.areas(found)
            if self.dialect != "rows_from_0":
                sizes = self._sizes(rows["id"].unique())
                held["mask"] = [masks.encode(mask, self.dialect, sizes[id]) for mask, id in zip(found, rows["id"])]
        return pd.DataFrame({id_columns[0]: rows["id"], **{column: held[what] for what, column in self.holds.items()}})[[*id_columns, *columns]]

    def _sizes(self, ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Height and width of test pictures. Where masks are counted by columns, raises DataError for one that is not there; else leaves it out."""
        paths, sizes = self.places.of(self.test_file, pd.DataFrame(index=pd.Index(ids, dtype="str")), self.id), {}
        for id, path in paths.items():
            try:
                sizes[id] = measure(path)[::-1]
            except Damaged as error:
                if self.dialect != "rows_from_0":
                    raise DataError(f"{error}\nits size is needed to read and to write masks") from error
        return sizes

    def read_submission(self, path: Path, needs: str) -> Predictions:
        """Rows of objects as they are written; a test picture without any is one in which nothing was found.

        Raises DataError with all that is wrong in them; once answers were read, for ids of no picture too.
        """
        rows = self._objects(Path(path), scored=True)
        ids = sorted({*rows["id"], *self._test_ids(), *self._answered})
        return self.task.as_they_are(ids, _by_id(rows, ids))

    def answers(self, path: Path, weight: str = "") -> pd.DataFrame:
        """Truth from an answers file in the columns of a submission: a test picture without rows has nothing to find.

        What there is to know of its clips goes to notes.
        """
        assert not weight, "no metric of masks weighs pictures"
        rows = self._objects(Path(path), scored=False)
        told = [self.values.label(int(label)) if label.isdecimal() and self._is_marked(int(label)) else (label, False) for label in rows["label"]]
        rows = rows.assign(label=[label for label, _ in told], ignored=[ignored for _, ignored in told])
        named = dict(zip(rows["id"], rows["clip"]))
        lists = self._test_lists()
        self._answered = sorted({*rows["id"], *self._test_ids()})
        found = [replace(own, clip=lists.get(id, named.get(id, ""))) for id, own in zip(self._answered, _by_id(rows, self._answered))]
        unnamed = [id for id, own in zip(self._answered, found) if not own.clip] if self.clips or self.test_clips or self.clip else []
        if unnamed:
            where = " nor ".join([f"list of {self.test_clips}"] * bool(self.test_clips) + [f"column {self.clip} of {path}"] * bool(self.clip)) or "list: input.test_clips names none"
            self.notes.append(f"{len(unnamed)} of {len(found)} test pictures have their clip in no {where}, and count as one clip: {shorten(unnamed, 3)}")
        return pd.DataFrame({"id": self._answered, self.task.targets[0]: pd.Series(found, dtype=object)})

    def _is_marked(self, value: int) -> bool:
        return value in self.values.ignored or value in self.values.groups

    def _test_ids(self) -> list[str]:
        return list(self._ids_in_file_order()) if self.places.folder(self.test_file).media else []

    def _test_lists(self) -> dict[str, str]:
        return self._clips(self.test_clips) if self.test_clips and (self.data / self.test_clips).is_dir() else {}

    def _strange(self, ids: Sequence[str], path: Path) -> list[str]:
        """What is wrong with a submission's ids; where neither the test pictures nor their lists are there, the answers alone tell of some."""
        test = {*self._test_ids(), *self._test_lists()}
        odd = [id for id in dict.fromkeys(ids) if id not in test and id not in self._answered]
        if not odd or not test and set(ids) & set(self._answered):
            return []
        known = sorted(test | set(self._answered))
        return [f"{len(odd)} ids of {path} are of no picture to find anything in: {shorten(odd)}\nexpected ids like {shorten(known, 2)}, the names of pictures without their endings"]

    def _objects(self, path: Path, *, scored: bool) -> pd.DataFrame:
        """Columns id, label, score, mask (of kind Mask) and clip of a submission or of answers. Raises DataError with all that is wrong in it."""
        frame = read(path, text=None, **self.form).fillna("")
        asked = {what: column for what, column in self.holds.items() if scored or what in ("label", "mask")}
        lacking = [c for c in (*self.id, *asked.values()) if c not in frame]
        if lacking:
            raise DataError(f"{path} lacks column {shorten(lacking)}; it has {shorten(frame.columns, 10)}")
        ids = frame[self.id[0]].to_numpy(dtype=object)
        strange = self._strange(ids, path) if scored and self._answered else []
        if strange:
            raise DataError(bullets(strange))
        sizes = self._sizes(pd.unique(ids))
        found, wrong = [], []
        for row, (id, text) in enumerate(zip(ids, frame[self.holds["mask"]]), start=1):
            try:
                found.append(masks.decode(text, self.dialect, sizes.get(id)))
            except DataError as error:
                found.append(Mask(np.zeros(0, np.int64), np.zeros(0, np.int64)))
                wrong.append(f"data row {row}, id {id}: {str(error).splitlines()[0]}")
        problems = [f"{len(wrong)} masks of {path} cannot be read: {shorten(wrong, 3)}"] if wrong else []
        scores = pd.to_numeric(frame[asked["score"]], errors="coerce") if scored else pd.Series(np.ones(len(frame)))
        if not np.isfinite(scores).all():
            odd = ~np.isfinite(scores)
            problems.append(f"{path} column {asked['score']} is not a finite number in {int(odd.sum())} rows: ids {shorten(ids[odd])}")
        if "pixels" in asked and not wrong:
            differs = pd.to_numeric(frame[asked["pixels"]], errors="coerce").to_numpy() != masks.areas(found)
            if differs.any():
                problems.append(f"{path} column {asked['pixels']} is not the number of the mask's pixels in {int(differs.sum())} rows: ids {shorten(ids[differs])}")
        if problems:
            raise DataError(bullets(problems))
        clips = frame[self.clip].to_numpy(dtype=object) if self.clip and self.clip in frame else ""
        return pd.DataFrame({"id": ids, "label": frame[asked["label"]].to_numpy(dtype=object), "score": scores.to_numpy(), "mask": pd.Series(found, dtype=object), "clip": clips})

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 60) -> None:
        """Drawn scenes in this competition's layout: pictures, instance pictures, lists of clips and a sample submission."""
        _sample_scenes.write(self, Path(folder), rows)

    def sample_id(self, part: str, clip: int, frame: int) -> str:
        """What a frame of a sample is called, without its ending."""
        return f"{part}_{clip:02d}_{frame:03d}"

    def sample_clip(self, part: str, clip: int) -> str:
        """What the list of a clip is called."""
        return f"clip_{clip:02d}.txt"

    def sample_line(self, part: str, id: str) -> str:
        """What the list of a clip says of a frame."""
        return id


def _stem(name: str) -> str:
    """Of a frame that a list names, by whichever folders and ending."""
    own = last(name.replace("\\", "/"))
    return stem(own) if is_medium(own, "image") else own


def _by_id(rows: pd.DataFrame, ids: Sequence[str]) -> list[Found]:
    """The objects of each of these pictures, in the order of their rows; a mask without a pixel is none."""
    held = rows[masks.areas(rows["mask"]) > 0].sort_values("id", kind="stable")
    starts, ends = (np.searchsorted(held["id"].to_numpy(dtype=object), np.array(ids, dtype=object), side=side).tolist() for side in ("left", "right"))
    labels, scores, runs = (held[name].to_numpy() for name in ("label", "score", "mask"))
    ignored = held["ignored"].to_numpy(dtype=bool) if "ignored" in held else np.zeros(len(held), bool)
    return [Found.of(labels[a:b], masks=list(runs[a:b]), scores=scores[a:b], ignored=ignored[a:b]) for a, b in zip(starts, ends)]
