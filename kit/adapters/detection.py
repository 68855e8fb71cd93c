"""Pictures with boxes: lists say which pictures there are, and an annotation beside each picture what is in it.

The layout is that of PASCAL VOC and ImageNet. A list's line is a picture, or the folder of a clip whose frames are then pictures.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.adapters import _sample_boxes, _voc
from kit.adapters._places import Places
from kit.adapters.tabular import Tabular
from kit.errors import ConfigError, DataError, bullets, shorten
from kit.files import write_text
from kit.found import Found
from kit.tables import in_id_order

_CLIP = "clip"  # column of the clip that a frame is of


class Detection(Tabular):
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
        pictures: str = "Data/{part}/{id}.JPEG",
        boxes: str = "Annotations/{part}/{id}.xml",
        unannotated: Literal["leave", "empty"] = "leave",
        clips: bool = False,
        every: int = 1,
        columns: dict[str, list[str]] = {},
    ):
        """
        train        a list of pictures, an id a line and anything behind it; with * several lists, whose pictures are learned from once each
        valid        the host's own validation pictures, for the fold scheme "given"
        pictures     where the picture of an id lies; part is the first word of the list's name: train_1.txt is of train, val.txt of val
        boxes        where its annotation lies, in PASCAL VOC's XML
        unannotated  pictures without an annotation are left out ("leave"), or have nothing to find ("empty")
        clips        ids are <clip>/<frame>: the frames of a clip stay in one fold, whichever scheme keeps groups
        every        of each training clip, so many frames are passed over for one that is taken; 1 takes all
        columns      as in the adapter tabular
        """
        if clips and "group" not in columns:
            columns = {**columns, "group": [_CLIP]}
        super().__init__(data, task, train=train, test=test, valid=valid, sample_submission=sample_submission, id=id, pictures=pictures, columns=columns)
        self.boxes, self.unannotated, self.clips, self.every = Places(self.data, boxes), unannotated, clips, every
        if every < 1:
            raise ConfigError(f"input.every = {every}: expected 1, which takes all frames, or more")

    # --- lists -------------------------------------------------------------------------------------------------------------------

    def _tables(self, *names: str) -> list[Path]:
        lists = [path for name in names if name and name.endswith(".txt") for path in self._lists(name)]
        return [*lists, *super()._tables(*(name for name in names if not name.endswith(".txt")))]

    def _lists(self, name: str) -> list[Path]:
        top = self.data / name
        found = sorted(top.parent.glob(top.name)) if "*" in top.name else [top] if top.is_file() else []
        if not found:
            raise DataError(f"no list {name} in {self.data}: expected one id a line\nis the archive unpacked as it is?")
        return found

    def _part(self, part: str) -> str:
        name = {"train": self.train_file, "validation": self.valid_file, "test": self.test_file}.get(part, part)
        return PurePosixPath(name).name.split(".")[0].split("_")[0].split("*")[0]

    def _ids(self, name: str, part: str) -> list[str]:
        """The pictures of a list, in its order, each once; a clip's frames in the place of its folder."""
        lines = [line.split() for path in self._lists(name) for line in path.read_text(encoding="utf-8").splitlines()]
        ids = list(dict.fromkeys(words[0] for words in lines if words))
        if not ids:
            raise DataError(f"{name} names no picture: expected one id a line")
        if not self.clips:
            return ids
        frames = self._frames(part)
        found = []
        for id in ids:
            found += frames.get(id, [])[:: self.every] if id in frames else [id]
        return list(dict.fromkeys(found))

    def _frames(self, part: str) -> dict[str, list[str]]:
        """clip -> ids of its frames, in their order."""
        frames: dict[str, list[str]] = {}
        for name in self.places.folder(self._part(part)).media:
            clip, _, frame = name.rpartition("/")
            frames.setdefault(clip, []).append(f"{clip}/{frame[: frame.rfind('.')]}")
        return frames

    # --- rows --------------------------------------------------------------------------------------------------------------------

    def _read_rows(self, name: str, part: str) -> pd.DataFrame:
        ids, word = self._ids(name, part), self._part(part)
        held, dropped, problems, kept, bare = [], Counter(), [], [], []
        for id in ids:
            path = self.data / self.boxes.name(word, {"id": id})
            try:
                found, lost = _voc.read(path, id.rpartition("/")[0] if self.clips else "")
            except FileNotFoundError:
                bare.append(id)
                if self.unannotated == "leave":
                    continue
                found, lost = Found.of([], boxes=[], clip=id.rpartition("/")[0] if self.clips else ""), Counter()
            except ValueError as error:
                problems.append(f"{path.relative_to(self.data)} {error}")
                continue
            kept.append(id)
            held.append(found)
            dropped += lost
        if problems:
            raise DataError(f"{len(problems)} annotations of {name} cannot be used:\n{bullets(problems[:10])}\nfetch them again, or take them from the list")
        if not kept:
            raise DataError(f"none of the {len(ids)} pictures of {name} has an annotation: expected {self.boxes.name(word, {'id': ids[0]})}\ninput.boxes says where they lie")
        if bare:
            told = "left out" if self.unannotated == "leave" else "so there is nothing to find in them"
            self.notes.append(f"{len(bare)} of {len(ids)} pictures of {name} have no annotation, {told}: {shorten(bare, 3)}")
        if dropped:
            self.notes.append(f"boxes of {name} that were dropped: " + ", ".join(f"{count} {why}" for why, count in dropped.items()))
        rows = pd.DataFrame({self.task.targets[0]: pd.Series(held, dtype=object)})
        return self._with_place(rows, kept, part)

    def _with_place(self, rows: pd.DataFrame, ids: Sequence[str], part: str) -> pd.DataFrame:
        rows.index = pd.Index(ids, dtype="str", name="id")
        if self.clips:
            rows[_CLIP] = [id.rpartition("/")[0] for id in ids]
        return in_id_order(self._with_pictures(rows, part), rows.index)

    def read_test(self, text: Sequence[str] = ()) -> pd.DataFrame:
        sample = self.sample()
        ids = list(self._ids_in_file_order() if sample is None else sample.index)
        return self._with_place(pd.DataFrame(index=range(len(ids))), ids, "test")

    def _ids_in_file_order(self) -> pd.Index:
        return pd.Index(self._ids(self.test_file, "test"), dtype="str")

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 60) -> None:
        """Drawn shapes in this competition's layout: lists, pictures, annotations and a sample submission."""
        random, folder = np.random.default_rng(0), Path(folder)
        parts = {"train": self.train_file, **({"validation": self.valid_file} if self.valid_file else {}), "test": self.test_file}
        for part, name in parts.items():
            count = rows if part == "train" else rows // 3
            ids = [self.sample_id(part, n) for n in range(count)]
            for id in ids:
                pixels, labels, boxes = _sample_boxes.draw(random, self.sample_classes)
                _sample_boxes.save(folder / self.places.name(self._part(part), {"id": id}), pixels)
                if part != "test":
                    text = _voc.text(labels, boxes, pixels.shape[1], pixels.shape[0])
                    write_text(folder / self.boxes.name(self._part(part), {"id": id}), text)
            write_text(folder / name.replace("*", "1"), "".join(f"{line}\n" for line in self.sample_lines(part, ids)))
            if part == "test" and self.sample_file:
                group = " ".join([self.sample_classes[0], *(["0.5"] if self.task.scored else []), "10 10 60 60"])
                cells = "".join(f"{id},{group}\n" for id in ids)
                write_text(folder / self.sample_file, f"{self.id[0]},{self.task.targets[0]}\n{cells}")

    def sample_id(self, part: str, number: int) -> str:
        """The id of a sample's number-th picture of a part, from 0."""
        inside = f"{self.sample_folders[number % len(self.sample_folders)]}/" if part == "train" and self.sample_folders[0] else ""
        return f"{inside}{self._part(part)}_{number:08d}" if not self.clips else f"{inside}{self._part(part)}_{number // 6:08d}/{number % 6:06d}"

    def sample_lines(self, part: str, ids: list[str]) -> list[str]:
        """The lines of a part's list."""
        if self.clips and part == "train":
            return [f"{clip} 1" for clip in dict.fromkeys(id.rpartition("/")[0] for id in ids)]
        return [f"{id} {n}" for n, id in enumerate(ids, start=1)]
