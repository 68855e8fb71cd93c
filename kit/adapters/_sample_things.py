"""A sample of data for retrieval and for open sets: pictures of things, where test rows hold some that no training row shows.

What the files and the labels are called is the adapter's: `sample_id`, `sample_label` and `sample_columns` of kit/adapters/image.py.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.adapters._places import is_table
from kit.files import write_text

KNOWN, STRANGERS = range(24), range(24, 40)  # of an open set: things with training rows, and things without
SHOWN, SOUGHT = range(24, 44), range(24, 48)  # of retrieval: in the gallery, and as queries; others than the known, on whose labels one may learn
CLUTTER = 20  # gallery pictures of no thing


@dataclass(frozen=True)
class Drawn:
    """A picture of the sample: of train, test or gallery; label is what a table of labels says of it, "" if such a table leaves it out."""

    part: str
    id: str
    label: str
    there: bool


def write(adapter: Any, folder: Path) -> None:
    """Pictures and tables in the layout of an adapter for folders of pictures, and those of the competition that it has its labels from."""
    folder, task = Path(folder), adapter.task
    drawn = _retrieval(adapter, folder) if getattr(task, "searches", False) else _open_set(adapter, folder)
    tables = {part: _rows(adapter, [d for d in drawn if d.part == part]) for part in ("train", "test", "gallery")}
    labelled = tables["gallery" if is_table(adapter.train_file) and getattr(task, "searches", False) else "train"]
    tables["train"] = labelled[labelled["label"] != ""].rename(columns={"label": adapter.answered[0]})
    for part in ("test", "gallery"):
        tables[part] = tables[part].drop(columns="label")
    answer = _answer(task, tables["train"], tables["gallery"])
    tables["sample"] = tables["test"][[]].assign(**{task.targets[0] if adapter.sample_answer == "" else adapter.sample_answer: answer})
    files = {"train": "" if adapter.labels_from else adapter.train_file, "test": adapter.test_file, "gallery": adapter.gallery_file, "sample": adapter.sample_file}
    for part, name in files.items():
        if is_table(name):
            write_text(folder / name, tables[part].rename_axis(adapter.id[0]).sort_index().to_csv(lineterminator="\n"))
    if adapter.labels_from:
        inside = folder / adapter.lender.slug
        adapter.lender.open(inside).write_sample(inside)


def _open_set(adapter: Any, folder: Path) -> list[Drawn]:
    """In train four to six pictures of each known thing, and some of strangers where files have a word for them; in test both."""
    random, said = np.random.default_rng(0), adapter.task.unknown
    planned = [("train", thing, adapter.sample_label(thing)) for thing in KNOWN for _ in range(random.integers(4, 7))]
    planned += [("train", thing, said) for thing in STRANGERS[:8]] if said else []
    planned += [("test", thing, adapter.sample_label(thing)) for thing in KNOWN for _ in range(2)]
    planned += [("test", thing, said) for thing in STRANGERS[8:] for _ in range(3)]
    return _drawn(adapter, folder, random, planned)


def _retrieval(adapter: Any, folder: Path) -> list[Drawn]:
    """In the gallery four to six pictures of each thing, and clutter; two queries for each, and some for things that are not there.

    Labels in a table are the gallery's; where they are folders, those hold pictures of other things.
    """
    random = np.random.default_rng(1)
    planned = []
    if adapter.train_file and not is_table(adapter.train_file) and not adapter.labels_from:
        planned += [("train", thing, adapter.sample_label(thing)) for thing in KNOWN for _ in range(random.integers(4, 7))]
    planned += [("gallery", thing, adapter.sample_label(thing)) for thing in SHOWN for _ in range(random.integers(4, 7))]
    planned += [("gallery", -1, "")] * CLUTTER
    planned += [("test", thing, "") for thing in SOUGHT for _ in range(2 if thing in SHOWN else 1)]
    return _drawn(adapter, folder, random, planned)


def _drawn(adapter: Any, folder: Path, random: np.random.Generator, planned: list[tuple[str, int, str]]) -> list[Drawn]:
    found = []
    for place, n in enumerate(random.permutation(len(planned))):
        part, thing, label = planned[n]
        own = Drawn(part, adapter.sample_id(int(random.integers(1 << 62))), label, there=not (adapter.sample_loses and place % 60 == 30))
        found.append(own)
        how = adapter.drawing
        picture = how.draw_thing(random, thing) if thing >= 0 else how.draw(random, str(random.choice(how.SHAPES)), str(random.choice(list(how.COLOURS))))
        if own.there:  # as after real downloads, some are not, and some are broken off
            how.save(folder / adapter.sample_place(part, own.id, label), picture, truncated=adapter.sample_loses and place % 60 == 45)
    return found


def _rows(adapter: Any, drawn: list[Drawn]) -> pd.DataFrame:
    columns = [adapter.sample_columns(d.part, d.id, d.there) for d in drawn]
    return pd.DataFrame(columns, index=pd.Index([d.id for d in drawn], dtype="str")).assign(label=[d.label for d in drawn])


def _answer(task: Any, train: pd.DataFrame, gallery: pd.DataFrame) -> str:
    """What the sample submission says of every row."""
    if getattr(task, "searches", False):
        return " ".join(gallery.index[:3])
    common = [label for label in train.iloc[:, -1].value_counts().sort_index().sort_values(ascending=False, kind="stable").index if label != task.unknown]
    if task.cell == "label_confidence":
        return f"{common[0]} 0.03"
    if task.cell == "labels":
        return " ".join([task.unknown, *common][: task.top])
    return task.unknown or common[0]
