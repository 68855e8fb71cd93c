"""Folders of pictures: the labels are in a table, or they are the names of the folders that the training pictures lie in.

In a table's cells a picture has one label or several. The test rows are those of the sample submission, else the pictures of the test
folder: a picture that is named and is not there is a row all the same. For retrieval, test pictures are queries and a further folder is the
gallery; labels, if there are any, may be of its pictures.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from kit.adapters import _sample, _sample_things
from kit.adapters._places import Folder, described, is_medium, is_table, last, stem
from kit.adapters.tabular import Tabular, findable
from kit.errors import DataError, bullets, shorten
from kit.files import write_text
from kit.tables import in_id_order


class Image(Tabular):
    ids_restart = True
    drawing: Any = _sample  # the module that makes a sample's files
    sample_ending = "png"  # of a sample's files, where the pattern has none
    sample_answer = ""  # what the one answer column of a drawn sample submission is called, where that isn't the target's name
    sample_loses = False  # whether some of a sample's pictures are missing or broken off

    def __init__(
        self,
        data: Path,
        task: Any,
        *,
        train: str = "train",
        test: str = "test",
        sample_submission: str = "",
        valid: str = "",
        id: str = "id",
        pictures: str = "{part}/{id}",
        class_folder: Literal["", "all", "first", "last"] = "",
        columns: dict[str, list[str]] = {},
        drop: list[str] = [],
        separator: str = "",
        encoding: str = "",
        gallery: str = "",
        labels_from: str = "",
        labels_data: str = "",
    ):
        """
        train         a folder that holds a folder a class, train/<class>/<file>; or a table of ids and labels, such as train.csv; "" where a retrieval has no
                      labels
        test          the folder of the test pictures; or a table, where they have more than an id
        valid         the host's own validation pictures, in the form of train, for the fold scheme "given"
        id            the column of ids: names of files, with or without their endings
        pictures      where the picture of an id lies; part is "train", "validation", or what test and gallery say, of a table its name without
                      ending; training pictures without a folder of their own are the gallery's
        class_folder  which of several folders, one in another, are the class; "" stops where there are several
        gallery       for retrieval: the folder of the pictures that queries look for; or a table of them
        columns, drop, separator, encoding, labels_from, labels_data  as in the adapter tabular
        """
        super().__init__(
            data, task, train=train, test=test, sample_submission=sample_submission, valid=valid, id=id,
            pictures=pictures, columns=columns, drop=drop, separator=separator, encoding=encoding,
            gallery=gallery, labels_from=labels_from, labels_data=labels_data,
        )  # fmt: skip
        self.class_folder = class_folder

    def _tables(self, *names: str) -> list[Path]:
        return super()._tables(*filter(is_table, names))

    def _part(self, part: str) -> str:
        own = {"train": self.train_file, "validation": self.valid_file, "test": self.test_file, "gallery": self.gallery_file}[part]
        return own if own and not is_table(own) else super()._part(part)

    # --- rows --------------------------------------------------------------------------------------------------------------------

    def _read_rows(self, name: str, part: str) -> pd.DataFrame:
        return super()._read_rows(name, part) if is_table(name) else self._labelled_by_folder(name)

    def _labelled_by_folder(self, name: str) -> pd.DataFrame:
        """The pictures of a folder that holds a folder a class. Raises DataError with all that is wrong in it."""
        folder, one = Folder(self.data, name, self.media), self.places.one
        pictures = folder.media
        if not pictures:
            what = f"no {one} in {folder.top}" if folder.is_there else f"no folder {folder.top}"
            raise DataError(f"{what}: expected {name}/<class>/<{one}>, or a table of labels such as input.train = \"train.csv\"\n{described(self.data)}")
        loose = [n for n in pictures if "/" not in n]
        deep = [n for n in pictures if n.count("/") > 1 and not self.class_folder]
        problems = [f"{len(loose)} of {len(pictures)} {one}s lie in {name} itself, in no folder of a class: {shorten(loose, 3)}"] if loose else []
        problems += [f"{len(deep)} {one}s lie deeper than {name}/<class>/: {shorten(deep, 3)}; say which folder is the class: input.class_folder"] if deep else []
        problems += [f"input.{k}: {one}s in folders have no columns" for k, v in (("columns", self.columns), ("drop", self.drop)) if v]
        problems += [f"{len(self.task.targets)} targets, but a folder's name is one"] if len(self.task.targets) > 1 else []
        if problems:
            raise DataError(bullets(problems))
        if others := [n for n in folder.names if not is_medium(n, self.media)]:
            self.notes.append(f"{len(others)} files in {name} have no {one}'s ending, so left out: {shorten(others, 3)}")
        rows = pd.DataFrame({self.media: [f"{folder.top}/{n}" for n in pictures], self.task.targets[0]: [self._class_of(n) for n in pictures]}, dtype="str")
        return in_id_order(rows, pd.Index(_ids(pictures), dtype="str", name="id"))

    def _class_of(self, name: str) -> str:
        folders = name.split("/")[:-1]
        return {"first": folders[0], "last": folders[-1]}.get(self.class_folder, "/".join(folders))

    def read_test(self, text: Sequence[str] = ()) -> pd.DataFrame:
        if is_table(self.test_file):
            return super().read_test(text)
        sample = self.sample()
        ids = self._ids_in_file_order() if sample is None else sample.index
        rows = self._with_pictures(pd.DataFrame(index=ids.sort_values().rename("id")), "test")
        if sample is not None:
            folder = self.places.folder(self._part("test"))
            extra = set(folder.media) - {path.removeprefix(f"{folder.top}/") for path in rows[self.media]}
            if extra and "{part}" in self.places.pattern:
                self.notes.append(f"{len(extra)} {folder.one}s in {folder.top} are of no row of {self.sample_file}: {shorten(sorted(extra), 3)}")
        return rows

    def read_gallery(self, text: Sequence[str] = ()) -> pd.DataFrame:
        if is_table(self.gallery_file):
            return super().read_gallery(text)
        told = "the gallery's", "name a table of them (input.gallery)", "there is nothing to find"
        rows = pd.DataFrame(index=self._ids_of_folder(self._part("gallery"), *told).sort_values())
        return self._with_pictures(findable(rows, self.gallery_file), "gallery")

    def _ids_in_file_order(self) -> pd.Index:
        if is_table(self.test_file):
            return super()._ids_in_file_order()
        how = "name the sample submission (input.sample_submission) or a table of them (input.test)"
        return self._ids_of_folder(self._part("test"), "test rows", how, "and no sample submission is named: there is nothing to predict")

    def _ids_of_folder(self, part: str, what: str, how: str, lack: str) -> pd.Index:
        """Its pictures' own names, in no order that counts."""
        if not self.places.names_ids(part):
            raise DataError(f'input.{self.places.one}s = "{self.places.pattern}" does not tell which {self.places.one}s are {what}\n{how}, or put {{part}} into the pattern')
        folder = self.places.folder(part)
        if not folder.media:
            raise DataError(f"no {folder.one} in {folder.top}, {lack}\n{described(self.data)}")
        return pd.Index(_ids(folder.media), dtype="str", name="id")

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 240) -> None:
        """Drawn shapes, or things, in this competition's layout: 40 x 40 PNG, or what the pattern's ending says.

        rows  pictures of shapes; things of an open set, and those that queries look for, are as many as they need to be
        """
        if getattr(self.task, "searches", False) or getattr(self.task, "open_set", False):
            _sample_things.write(self, folder)
            return
        random, folder, task = np.random.default_rng(0), Path(folder), type(self.task).__name__
        shapes = random.choice(self.drawing.SHAPES[: 2 if task == "Binary" else 4], rows)
        colours = [self.drawing.colour_of(random, shape) for shape in shapes]
        sizes = random.uniform(0.5, 1.0, rows)
        ids = [self.sample_name(int(n)) for n in random.permutation(rows * 10)[:rows]]
        answers = pd.DataFrame(self._sample_answers(task, shapes, colours, sizes), index=ids)
        parts = np.where(random.random(rows) < 0.3, "test", "train").astype(object)
        if self.valid_file:
            parts[(parts == "train") & (random.random(rows) < 0.25)] = "validation"
        for n, id in enumerate(ids):
            drawn = self.drawing.draw(random, shapes[n], colours[n], size=sizes[n])
            self.drawing.save(folder / self.sample_place(parts[n], id, str(answers.iloc[n, 0])), drawn)
        columns = {word: word for word in self.places.words if word != "id"}
        tables = {self.train_file: answers[parts == "train"].assign(**columns), self.valid_file: answers[parts == "validation"].assign(**columns)}
        tables[self.test_file] = answers.loc[parts == "test", []].assign(**columns)
        tables[self.sample_file] = answers[parts == "test"].assign(**answers.iloc[0])
        for name, table in tables.items():
            if is_table(name):
                write_text(folder / name, table.rename_axis(self.id[0]).sort_index().to_csv(lineterminator="\n"))

    def _sample_answers(self, kind: str, shapes: np.ndarray, colours: list[str], sizes: np.ndarray) -> dict[str, list]:
        """Target -> what each file of a sample should give."""
        targets = self.task.targets
        if kind == "Regression":
            return {name: list((sizes * (n + 1)).round(4)) for n, name in enumerate(targets)}
        if kind == "Multilabel" and len(targets) > 1:
            words = [*self.drawing.SHAPES, *self.drawing.COLOURS]
            return {name: [int(words[n % len(words)] in pair) for pair in zip(shapes, colours)] for n, name in enumerate(targets)}
        if kind == "Multilabel":
            return {targets[0]: [self.task.separator.join(pair) for pair in zip(shapes, colours)]}
        return {targets[0]: list(shapes)}

    def sample_name(self, n: int) -> str:
        """What the n-th file of a sample is called that is no thing's."""
        return f"{n:05d}"

    def sample_id(self, word: int) -> str:
        """What a picture of a thing is called.

        word  below 2**62, drawn anew for each
        """
        return f"{word % 10**8:08d}"

    def sample_label(self, thing: int) -> str:
        """What the thing is called that is the thing-th, from 0."""
        return f"thing-{thing:02d}"

    def sample_columns(self, part: str, id: str, there: bool) -> dict[str, str]:
        """What a table says of a picture besides its id and its label.

        there  whether the picture is
        """
        return {word: word for word in self.places.words if word != "id"}

    def sample_place(self, part: str, id: str, label: str) -> str:
        name = {"train": self.train_file, "validation": self.valid_file}.get(part, "")
        place = self.places.name(self._part(part), {"id": id}) if not name or is_table(name) else f"{name}/{label}/{id}"
        return place if is_medium(place, self.media) else f"{place}.{self.sample_ending}"


def _ids(pictures: list[str]) -> list[str]:
    """Names without folder and ending, where that tells them apart."""
    short = [stem(last(name)) for name in pictures]
    return short if len(set(short)) == len(short) else pictures
