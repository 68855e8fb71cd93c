"""Lists of pictures with an annotation beside each, in PASCAL VOC's XML: which pictures there are, and what is in them."""

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from kit.adapters import _voc
from kit.adapters._boxes import form_of
from kit.adapters._places import Places, described
from kit.errors import DataError, bullets, shorten
from kit.found import Found
from kit.reading import locate

CLIP = "clip"  # column of the clip that a frame is of


class BoxLists:
    """The part of the adapter detection that reads lists; a list's line is a picture, or the folder of a clip whose frames are then pictures.

    data, task, places, notes         as of any adapter of pictures
    boxes, unannotated, clips, every  its options
    """

    data: Path
    task: Any
    places: Places
    notes: list[str]
    boxes: Places
    unannotated: str
    clips: bool
    every: int

    def _files(self, name: str) -> list[Path]:
        """The files of a name, which may hold a *. Raises DataError where there is none."""
        form, top = form_of(name), self.data / name
        if form != "list" and "*" not in top.name:
            return [locate(top)]
        found = sorted(top.parent.glob(top.name)) if "*" in top.name else [top] if top.is_file() else []
        if not found and form == "list":
            raise DataError(f"no list {name} in {self.data}: expected one id a line\nis the archive unpacked as it is?")
        if not found:
            raise DataError(f"no file {name} in {self.data}\n{described(top.parent)}")
        return found

    def _ids(self, name: str, part: str) -> list[str]:
        """The pictures of a list, in its order, each once; a clip's frames in the place of its folder, of a training clip some of them."""
        lines = [line.split() for path in self._files(name) for line in path.read_text(encoding="utf-8").splitlines()]
        ids = list(dict.fromkeys(words[0] for words in lines if words))
        if not ids:
            raise DataError(f"{name} names no picture: expected one id a line")
        if not self.clips:
            return ids
        frames = self._frames(part)
        found = []
        for id in ids:
            found += frames.get(id, [id])[:: self.every if part == "train" else 1]
        return list(dict.fromkeys(found))

    def _frames(self, part: str) -> dict[str, list[str]]:
        """clip -> ids of its frames, in their order."""
        frames: dict[str, list[str]] = {}
        for name in self.places.folder(self._part(part)).media:
            clip, _, frame = name.rpartition("/")
            frames.setdefault(clip, []).append(f"{clip}/{frame[: frame.rfind('.')]}")
        return frames

    def _listed_rows(self, name: str, part: str) -> pd.DataFrame:
        ids, word = self._ids(name, part), self._part(part)
        things, dropped, problems, kept, bare = [], Counter(), [], [], []
        for id in ids:
            path = self.data / self.boxes.name(word, {"id": id})
            try:
                found, lost = _voc.read(path, id.rpartition("/")[0] if self.clips else "", inclusive=self.task.inclusive)
            except FileNotFoundError:
                bare.append(id)
                if self.unannotated != "empty":
                    continue
                found, lost = Found.of([], boxes=[], clip=id.rpartition("/")[0] if self.clips else ""), Counter()
            except ValueError as error:
                problems.append(f"{path.relative_to(self.data)} {error}")
                continue
            kept.append(id)
            things.append(found)
            dropped += lost
        if problems:
            raise DataError(f"{len(problems)} annotations of {name} cannot be used:\n{bullets(problems[:10])}\nfetch them again, or take them from the list")
        if not kept:
            raise DataError(f"none of the {len(ids)} pictures of {name} has an annotation: expected {self.boxes.name(word, {'id': ids[0]})}\ninput.boxes says where they lie")
        if bare:
            told = "left out" if self.unannotated != "empty" else "so there is nothing to find in them"
            self.notes.append(f"{len(bare)} of {len(ids)} pictures of {name} have no annotation, {told}: {shorten(bare, 3)}")
        if dropped:
            self.notes.append(f"boxes of {name} that were dropped: " + ", ".join(f"{count} {why}" for why, count in dropped.items()))
        rows = pd.DataFrame({self.task.targets[0]: pd.Series(things, dtype=object)})
        return self._with_place(rows, kept, part)
