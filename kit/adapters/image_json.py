"""Pictures listed in JSON files, as COCO and the iMaterialist challenges have them, with one label or several.

Where there are only urls, a picture lies where scripts that fetch them put it, and one that could not be fetched is named all the same:
a test row has a prediction whether or not its picture is there.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.adapters import _sample
from kit.adapters._annotations import OWN, Listed, listed
from kit.adapters._places import Places, located
from kit.adapters.tabular import Tabular
from kit.errors import ConfigError, DataError, bullets, shorten
from kit.files import write_text
from kit.tables import Tables, in_id_order


class ImageJson(Tabular):
    ids_restart = True

    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "train.json",
        test: str = "test.json",
        sample_submission: str = "",
        valid: str = "",
        id: str = "id",
        pictures: str = "",
    ):
        """
        test      which pictures the test rows are; where a sample submission is named, its ids are the rows
        valid     the host's own validation pictures, for the fold scheme "given"
        id        the column of ids in a submission
        pictures  where a picture lies, such as "images/{part}/{file_name}": part is the JSON file's name without ending; "" is where
                  file_name says, else "{part}/{id}.jpg", with whatever ending is found there
        """
        super().__init__(data, task, train=train, test=test, sample_submission=sample_submission, valid=valid, id=id)
        if len(task.targets) != 1:
            raise ConfigError(f"output.target names {len(task.targets)} targets: the annotations of a JSON file are one")
        self.named, self.unnamed = (Places(self.data, pictures or usual) for usual in ("{file_name}", "{part}/{id}.jpg"))
        self._read_files: dict[str, Listed] = {}

    def _makes_pictures(self) -> bool:
        return True

    def _folders(self, *parts: str) -> list[Path]:
        return sorted(top for top in {self.unnamed.folder(self._part(part)).top for part in parts} if top.exists())

    def _part(self, part: str) -> str:
        name = {"train": self.train_file, "validation": self.valid_file, "test": self.test_file}[part]
        return Path(name).name.split(".")[0]

    # --- rows --------------------------------------------------------------------------------------------------------------------

    def tables(self) -> Tables:
        """As of any table. Raises DataError with all that is wrong in all of the files."""
        self._check(self.train_file, self.valid_file, self.test_file)
        return super().tables()

    def read_train(self) -> pd.DataFrame:
        self._check(self.train_file, self.valid_file)
        return super().read_train()

    def _check(self, *names: str) -> None:
        if problems := [problem for name in names if name for problem in self._listed(name).problems]:
            raise DataError(bullets(problems))

    def _listed(self, name: str) -> Listed:
        if name not in self._read_files:
            separator = self.task.separator if self._many() else None
            self._read_files[name] = listed(self.data / name, labelled=name != self.test_file, separator=separator)
        return self._read_files[name]

    def _read_rows(self, name: str, part: str) -> pd.DataFrame:
        found = self._listed(name)
        between = self.task.separator if self._many() else ""
        labels = [between.join(found.labels.get(id, [])) for id in found.rows.index]
        rows = pd.DataFrame({"image": self._paths(found.rows, part), self.task.targets[0]: pd.array(labels, dtype="str")})
        return in_id_order(rows, rows.index)

    def read_test(self, text: Sequence[str] = ()) -> pd.DataFrame:
        self._check(self.test_file)
        found, sample = self._listed(self.test_file), self.sample()
        rows = found.rows
        self.notes += found.notes
        if sample is not None:
            lacking, extra = sample.index.difference(rows.index), rows.index.difference(sample.index)
            if len(lacking) == len(sample):
                raise DataError(f"none of the {len(sample)} ids of {self.sample_file} is in {self.test_file}: {shorten(lacking)}\nare both of one competition?")
            if len(lacking):
                self.notes.append(f"{len(lacking)} ids of {self.sample_file} are not in {self.test_file}, and are rows all the same: {shorten(lacking)}")
            if len(extra):
                self.notes.append(f"{len(extra)} images of {self.test_file} are not in {self.sample_file}, so left out: {shorten(extra)}")
            rows = rows.reindex(sample.index)
        rows = pd.DataFrame({"image": self._paths(rows, "test")})
        return in_id_order(rows, rows.index)

    def _ids_in_file_order(self) -> pd.Index:
        return self._listed(self.test_file).rows.index

    def _paths(self, rows: pd.DataFrame, part: str) -> pd.Series:
        part = self._part(part)
        if not rows["file_name"].notna().any():
            if "file_name" in self.unnamed.words:
                raise DataError(f'input.pictures = "{self.unnamed.pattern}", but the images have no file_name: expected a pattern of {{id}}')
            return self.unnamed.of(part, rows, ["id"])
        if self.named.pattern == "{file_name}":
            return located(self.data, rows["file_name"])
        return self.named.of(part, rows, ["id"], look="file_name" not in self.named.words)

    def _many(self) -> bool:
        return type(self.task).__name__ == "Multilabel"

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 260) -> None:
        """Drawn shapes in this competition's layout, unlike in number; as after real downloads, some pictures are missing or broken off."""
        random, folder = np.random.default_rng(0), Path(folder)
        shapes = _sample.SHAPES[: 2 if type(self.task).__name__ == "Binary" else 4]
        skew = np.array([0.4, 0.25, 0.2, 0.15])[: len(shapes)]
        files = {part: name for part, name in (("train", self.train_file), ("validation", self.valid_file), ("test", self.test_file)) if name}
        shares = np.array([{"train": 4, "validation": 1, "test": 1.5}[part] for part in files])
        drawn: dict[str, list[_Drawn]] = {part: [] for part in files}
        for overall, part in enumerate(random.choice(list(files), rows, p=shares / shares.sum()), start=1):
            shape = str(random.choice(shapes, p=skew / skew.sum() if part == "train" else None))
            colour = _sample.colour_of(random, shape)
            labels = [_sample.SHAPES.index(shape), len(_sample.SHAPES) + list(_sample.COLOURS).index(colour)]
            own = _Drawn(str(part), len(drawn[part]) + 1, overall, f"{random.integers(1 << 62):032x}", labels if self._many() else labels[:1])
            drawn[part].append(own)
            if (part, own.number) not in (("train", 3), ("test", 2)):
                place = folder / self._sample_place(own)
                _sample.save(place, _sample.draw(random, shape, colour), truncated=(part, own.number) in (("train", 5), ("test", 4)))
        for part, name in files.items():
            entries = [self.sample_entry(own) for own in drawn[part]]
            annotations = {"annotations": [a for _, some in entries for a in some]} if part != "test" else {}
            write_text(folder / name, json.dumps({**self.sample_heading(part), "images": [image for image, _ in entries], **annotations}))
        if self.sample_file:
            answer = " ".join(str(self.sample_label(n)) for n in range(self._answered()))
            ids = [self._sample_id(own) for own in drawn["test"]]
            write_text(folder / self.sample_file, "\n".join([f"{self.id[0]},{self.task.targets[0]}", *(f"{id},{answer}" for id in ids)]) + "\n")

    def sample_label(self, number: int) -> int:
        """What a class is called that is the number-th, from 0."""
        return number

    def sample_entry(self, drawn: "_Drawn") -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A drawn picture as one of `images`, and its annotations."""
        name = f"{'' if '{part}' in self.named.pattern else self._part(drawn.part) + '/'}{drawn.word}.jpg"
        annotations = [{"id": drawn.overall, "image_id": drawn.overall, "category_id": self.sample_label(n)} for n in drawn.labels]
        return {"id": drawn.overall, "file_name": name}, annotations

    def sample_heading(self, part: str) -> dict[str, Any]:
        """What a file holds before its images."""
        return {"categories": [{"id": self.sample_label(n), "name": name} for n, name in enumerate([*_sample.SHAPES, *_sample.COLOURS])]}

    def _sample_id(self, drawn: "_Drawn") -> str:
        entry = self.sample_entry(drawn)[0]
        return str(next(entry[key] for key in OWN if key in entry))

    def _sample_place(self, drawn: "_Drawn") -> str:
        name = self.sample_entry(drawn)[0].get("file_name")
        places, words = (self.unnamed, {}) if name is None else (self.named, {"file_name": name})
        return places.name(self._part(drawn.part), {"id": self._sample_id(drawn), **words})

    def _answered(self) -> int:
        """Labels in a cell of the sample submission."""
        return 2 if self._many() else self.task.top if getattr(self.task, "cell", "") == "labels" else 1


@dataclass(frozen=True)
class _Drawn:
    """A picture of the sample: the number-th of its part and the overall-th of all, from 1; word tells it apart, labels count from 0."""

    part: str
    number: int
    overall: int
    word: str
    labels: list[int]
