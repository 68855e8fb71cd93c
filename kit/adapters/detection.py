"""Pictures with boxes: lists with an annotation beside each picture (PASCAL VOC, ImageNet), COCO's JSON, or tables of boxes.

Which of them a file is, its ending says: .txt, .json, or that of a table. A list's line is a picture, or the folder of a clip whose frames
are then pictures.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.adapters import _coco, _sample_boxes
from kit.adapters._box_lists import CLIP, BoxLists
from kit.adapters._box_table import USUAL, Cells
from kit.adapters._boxes import CORNERS, Marked, form_of, held
from kit.adapters._clips import clip_problems
from kit.adapters._places import Folder, Places, described, is_medium, stem
from kit.adapters.tabular import Tabular
from kit.errors import ConfigError, DataError, bullets, did_you_mean, shorten
from kit.machine import cores
from kit.pictures import full_size
from kit.reading import read
from kit.stores import Damaged, each
from kit.tables import in_id_order

_BESIDE_LISTS = {"pictures": "Data/{part}/{id}.JPEG", "boxes": "Annotations/{part}/{id}.xml"}
_PART = re.compile(r"(?<![A-Za-z])(?:train|val|test)[A-Za-z]*\d*", re.IGNORECASE)


class Detection(BoxLists, Tabular):
    progress: Callable[[str], None] = staticmethod(lambda line: None)
    sample_classes: tuple[str, ...] = ("n00000001", "n00000002")  # of a drawn sample
    sample_folders: tuple[str, ...] = ("",)  # that its training pictures lie in, below the part's own

    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "ImageSets/train.txt",
        test: str = "ImageSets/test.txt",
        valid: str = "",
        sample_submission: str = "",
        id: str = "ImageId",
        pictures: str = "",
        boxes: str = "",
        ids: Literal["id", "file_name"] = "id",
        labels: Literal["name", "id"] = "name",
        cells: dict[str, str] = USUAL,
        units: Literal["pixels", "shares"] = "pixels",
        one_label: str = "",
        unannotated: Literal["", "leave", "empty"] = "",
        clips: bool = False,
        every: int = 1,
        columns: dict[str, list[str]] = {},
        separator: str = "",
        encoding: str = "",
    ):
        """
        train        pictures with boxes: a list (.txt: an id a line and anything behind it), COCO's JSON, or a table of boxes (.csv); with * several files,
                     whose pictures are learned from once each
        test         likewise, without boxes; or a folder, whose pictures are called by their names without ending. Where there is a sample
                     submission its ids are the rows
        valid        the host's own validation pictures, in one of the forms of train, for the fold scheme "given"
        pictures     where the picture of an id lies; "" is "Data/{part}/{id}.JPEG" beside lists, "{part}/{file_name}" of JSON and "{part}/{id}" of tables.
                     Part is a list's first word: train_1.txt is of train; of other files the word that begins with train, val or test, in
                     their name or else their folder's: instances_train2017.json is of train2017; and a test folder itself
        boxes        beside lists, where the annotation of an id lies, in PASCAL VOC's XML; "" is "Annotations/{part}/{id}.xml"
        ids          of JSON: what a picture is called by, its id or its file_name without ending
        labels       of JSON: what a box is called by, its category's name or id
        cells        of tables: column -> what is in it, of "id", "label", "x1", "y1", "x2", "y2", "width", "height", "ignored"; of a column with several
                     numbers several of them, such as "x1 y1 width height"; "label x1 y1 x2 y2" repeats in the cell for each box
        units        of tables: corners are pixels, or shares of the picture's width and height from 0 to 1
        one_label    of tables: the class of all boxes, where no column says one
        unannotated  pictures without an annotation, or of the training folder that no row of a table names, are left out ("leave"), or have
                     nothing to find ("empty"); "" is leave, and empty of JSON, which lists them
        clips        of lists: ids are <clip>/<frame>: the frames of a clip stay in one fold, and only fold schemes that see to it will do
        every        of so many frames of a training clip the first is taken: 15 takes one of 15, 1 takes all. Other clips stay whole
        columns      as in the adapter tabular; groups, times and the like are keys of a JSON's images, or columns of a table
        separator, encoding  of tables, as in the adapter tabular
        """
        if clips and "group" not in columns:
            columns = {**columns, "group": [CLIP]}
        forms = {form_of(name) for name in (train, valid) if name}
        usual = _BESIDE_LISTS["pictures"] if "list" in forms else "{part}/{file_name}" if "json" in {*forms, form_of(test)} else "{part}/{id}"
        super().__init__(
            data, task, train=train, test=test, valid=valid, sample_submission=sample_submission, id=id, pictures=pictures or usual, columns=columns,
            separator=separator, encoding=encoding,
        )  # fmt: skip
        self.boxes, self.unannotated, self.clips, self.every = Places(self.data, boxes or _BESIDE_LISTS["boxes"]), unannotated, clips, every
        self.ids, self.labels = ids, labels
        self.ids_restart = "json" in forms  # ids that count from 1 in each file
        self.cells = Cells(cells, one_label, units, task.inclusive)
        problems = [f"input.every = {every}: expected 1, which takes all frames, or more"] if every < 1 else []
        problems += [f'input.{key} = "{name}": expected a list (.txt), JSON (.json) or a table (.csv)' for key, name in (("train", train), ("valid", valid)) if name and form_of(name) == "folder"]
        problems += self.cells.problems() if "table" in forms else []
        for form, what, given in (
            ("list", "list of pictures", {"boxes": boxes, "clips": clips, "every": every != 1}),
            ("json", "JSON file", {"ids": ids != "id" and form_of(test) != "json", "labels": labels != "name"}),
            ("table", "table of boxes", {"cells": cells != USUAL, "units": units != "pixels", "one_label": one_label}),
        ):
            problems += [f"input.{key} is for a {what}, and neither input.train nor input.valid is one" for key, is_given in given.items() if is_given and form not in forms]
        if problems:
            raise ConfigError(bullets(problems))

    # --- files -------------------------------------------------------------------------------------------------------------------

    @classmethod
    def fold_problems(cls, options: dict[str, Any], scheme: str, given: dict[str, Any]) -> list[str]:
        return clip_problems(options, scheme)

    def _tables(self, *names: str) -> list[Path]:
        return [path for name in names if name and form_of(name) != "folder" for path in self._files(name)]

    def _part(self, part: str) -> str:
        name = {"train": self.train_file, "validation": self.valid_file, "test": self.test_file}.get(part, part)
        if form_of(name) == "folder":
            return name
        path = PurePosixPath(name)
        if form_of(name) == "list":
            return path.name.split(".")[0].split("_")[0].split("*")[0]
        words = (_PART.search(piece) for piece in (path.name.split(".")[0], *reversed(path.parts[:-1])))
        return next((word.group() for word in words if word), part)

    # --- rows --------------------------------------------------------------------------------------------------------------------

    def _read_rows(self, name: str, part: str) -> pd.DataFrame:
        return self._listed_rows(name, part) if form_of(name) == "list" else self._marked_rows(name, part)

    def _marked_rows(self, name: str, part: str) -> pd.DataFrame:
        """The pictures of JSON files or tables, and what is in each."""
        marked = self._marked(name)
        rows, boxes = self._placed(marked.pictures, part), marked.boxes
        if form_of(name) == "table":
            rows = self._with_unnamed(rows, name, part)
            sizes = self._measured(rows["image"])
            if self.cells.units == "shares":
                rows = rows[sizes.notna().all(axis=1)]
                boxes = boxes[boxes["id"].isin(rows.index)].copy()
                boxes[CORNERS] *= np.tile(sizes.loc[boxes["id"]].to_numpy(), 2)
        else:
            sizes, bare = marked.sizes, rows.index.difference(boxes["id"].unique())
            if self.unannotated == "leave" and len(bare):
                self.notes.append(f"{len(bare)} of {len(rows)} pictures of {name} have no annotation, left out: {shorten(bare, 3)}")
                rows = rows.drop(index=bare)
        found, told = held(boxes, rows.index, sizes.loc[rows.index].to_numpy(), inclusive=self.task.inclusive, source=name)
        self.notes += [*marked.notes, *told]
        return rows.assign(**{self.task.targets[0]: pd.Series(found, index=rows.index, dtype=object)})

    def _marked(self, name: str, *, annotated: bool = True) -> Marked:
        """What JSON files or tables say. Raises DataError with all that is wrong in them."""
        carried = [c for columns in self.columns.values() for c in columns] if annotated else []
        if form_of(name) == "json":
            return _coco.read(self._files(name), annotated=annotated, ids=self.ids, labels=self.labels, carried=carried)
        frames = [read(path, text=[self.id[0], *self.cells.text], **self.form) for path in self._files(name)]
        return self.cells.read(pd.concat(frames, ignore_index=True), self.id[0], name, carried)

    def _with_place(self, rows: pd.DataFrame, ids: Sequence[str], part: str) -> pd.DataFrame:
        rows.index = pd.Index(ids, dtype="str", name="id")
        if self.clips:
            rows[CLIP] = [id.rpartition("/")[0] for id in ids]
        return self._placed(rows, part)

    def _placed(self, rows: pd.DataFrame, part: str) -> pd.DataFrame:
        """The rows in the order of their ids, with the path of each picture. Pictures without a file_name are looked for by their id."""
        named = "file_name" in rows and rows["file_name"].notna().any()
        if not named and "file_name" in self.places.words:
            rows = rows.assign(file_name=rows.index)
        rows = self._with_pictures(rows, part)
        carried = {c for columns in self.columns.values() for c in columns}
        return in_id_order(rows.drop(columns=[c for c in ("file_name",) if c not in carried], errors="ignore"), rows.index)

    def _with_unnamed(self, rows: pd.DataFrame, name: str, part: str) -> pd.DataFrame:
        """The rows, and those pictures of their folder that no row of the table names, where they hold nothing to find."""
        word = self._part(part)
        if not self.places.names_ids(word):
            if self.unannotated == "empty":
                raise ConfigError(f'input.unannotated = "empty": input.pictures = "{self.places.pattern}" does not tell which pictures are of {name}\nput {{part}} into the pattern, or give the pictures without boxes rows of their own, with blank cells')
            return rows
        folder, there = self.places.folder(word), set(rows["image"])
        others = [n for n in folder.media if f"{folder.top}/{n}" not in there]
        if not others:
            return rows
        told = "so there is nothing to find in them" if self.unannotated == "empty" else 'left out; if there is nothing to find in them: input.unannotated = "empty"'
        self.notes.append(f"{len(others)} pictures in {folder.top} are named by no row of {name}, {told}: {shorten(others, 3)}")
        if self.unannotated != "empty":
            return rows
        ids = others if any(is_medium(id, "image") for id in rows.index) else [stem(n) for n in others]
        more = pd.DataFrame({"image": [f"{folder.top}/{n}" for n in others]}, index=pd.Index(ids, dtype="str", name="id"), dtype="str")
        return pd.concat([rows, more]).sort_index()

    def _measured(self, paths: pd.Series) -> pd.DataFrame:
        """Width and height of each picture, pixels; missing where it is damaged or not there. Raises DataError where all are."""
        sizes = [(np.nan, np.nan) if isinstance(size, Damaged) else size[::-1] for size in each(full_size, list(paths), "picture", cores(), self.progress)]
        found = pd.DataFrame(sizes, index=paths.index, columns=["width", "height"], dtype=np.float64)
        lost = found.isna().any(axis=1)
        if lost.all():
            raise DataError(f"none of the {len(paths)} pictures can be read: {shorten(paths, 2)}\n{described(self.data)}\ninput.pictures says where they lie")
        if lost.any():
            told = "left out, since corners are shares of their sides" if self.cells.units == "shares" else "so their boxes are as the table has them"
            self.notes.append(f"{int(lost.sum())} of {len(paths)} pictures cannot be measured, {told}: {shorten(paths[lost], 3)}")
        return found

    def read_test(self, text: Sequence[str] = ()) -> pd.DataFrame:
        sample = self.sample()
        if form_of(self.test_file) != "json":
            ids = list(self._ids_in_file_order() if sample is None else sample.index)
            return self._with_place(pd.DataFrame(index=range(len(ids))), ids, "test")
        rows = self._marked(self.test_file, annotated=False).pictures
        if sample is not None:
            lacking = sample.index.difference(rows.index)
            if len(lacking) == len(sample):
                raise DataError(f"none of the {len(sample)} ids of {self.sample_file} is in {self.test_file}: {shorten(lacking)}\nare both of one competition? input.ids says what pictures are called by")
            if len(lacking):
                self.notes.append(f"{len(lacking)} ids of {self.sample_file} are not in {self.test_file}, and are rows all the same: {shorten(lacking)}")
            rows = rows.reindex(sample.index)
        return self._placed(rows, "test")

    def _ids_in_file_order(self) -> pd.Index:
        form = form_of(self.test_file)
        if form == "list":
            return pd.Index(self._ids(self.test_file, "test"), dtype="str")
        if form == "json":
            return self._marked(self.test_file, annotated=False).pictures.index
        if form == "table":
            return self._ids_of_table()
        folder = Folder(self.data, self.test_file)
        if not folder.media:
            raise DataError(f"no picture in {folder.top}, and no sample submission is named: there is nothing to predict\n{described(self.data)}")
        return pd.Index([stem(n) for n in folder.media], dtype="str")

    def _ids_of_table(self) -> pd.Index:
        known = [self.id[0], self.cells.words.get("id", self.id[0])]
        frame = read(self.data / self.test_file, text=known, **self.form)
        own = next((c for c in known if c in frame), None)
        if own is None:
            raise DataError(f'{self.test_file} has no column "{known[0]}"{did_you_mean(known[0], frame.columns)}: expected one of ids, which input.id names')
        return pd.Index(frame[own].dropna().unique(), dtype="str")

    def answers(self, path: Path, weight: str = "") -> pd.DataFrame:
        """Truth from an answers file as of any task, or from COCO's JSON."""
        if form_of(Path(path).name) != "json":
            return super().answers(path, weight)
        assert not weight, "no metric of boxes weighs pictures"
        marked = _coco.read([Path(path)], annotated=True, ids=self.ids, labels=self.labels)
        ids = marked.pictures.index.sort_values()
        found, _ = held(marked.boxes, ids, marked.sizes.loc[ids].to_numpy(), inclusive=self.task.inclusive, source=Path(path).name)
        return pd.DataFrame({"id": ids, self.task.targets[0]: pd.Series(found, dtype=object)})

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 60) -> None:
        """Drawn shapes in this competition's layout: lists, JSON or tables, pictures, annotations and a sample submission."""
        _sample_boxes.write(self, Path(folder), rows)

    def sample_id(self, part: str, number: int) -> str:
        """The id of a sample's number-th picture of a part, from 0."""
        inside = f"{self.sample_folders[number % len(self.sample_folders)]}/" if part == "train" and self.sample_folders[0] else ""
        return f"{inside}{self._part(part)}_{number:08d}" if not self.clips else f"{inside}{self._part(part)}_{number // 6:08d}/{number % 6:06d}"

    def sample_lines(self, part: str, ids: list[str]) -> list[str]:
        """The lines of a part's list."""
        if self.clips and part == "train":
            return [f"{clip} 1" for clip in dict.fromkeys(id.rpartition("/")[0] for id in ids)]
        return [f"{id} {n}" for n, id in enumerate(ids, start=1)]
