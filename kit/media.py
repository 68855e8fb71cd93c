"""Finds what the tables of an undescribed folder hold besides plain columns: names of pictures and sounds beside them, and pixels.

What is found is said with its evidence, and what both training and test rows have becomes part of the config.
"""

import itertools
import re
from pathlib import Path

import pandas as pd

from kit.adapters._places import Places, any_there
from kit.adapters.image_pixels import side_of
from kit.discover import Finding, Inferred, joined
from kit.errors import KitError, shorten
from kit.stores import CALLED
from kit.tables import MEDIA, infer_kind
from kit.transforms import SMALLEST

LEAST_PIXELS = 64  # fewer numbered columns may be anything
PRETRAINED = {"name": "timm", "architecture": "convnext_tiny.in12k_ft_in1k", "weights": "hub"}
FAST = {"model": {**PRETRAINED, "architecture": "tf_efficientnet_lite0", "weights": "package"}, "train": {"epochs": 8}, "augment": {"size": 96}}

HEARD = {"name": "spectrogram", "architecture": "tf_efficientnetv2_s.in21k_ft_in1k", "weights": "hub"}
FAST_HEARD = {
    "model": {"name": "spectrogram", "architecture": "tf_efficientnet_lite0", "weights": "package", "mels": 64, "hop_ms": 20.0},
    "train": {"epochs": 12},
    "augment": {"audio": {"seconds": 2.0}},
}


def pack_pixels(found: Inferred) -> None:
    """Numbered columns of whole numbers to 255, as many as a square picture has, are its pixels."""
    called: dict[str, list[str]] = {}
    for column in found.features():
        if match := re.fullmatch(r"(.*?)\d+(?:x\d+)?", column):
            called.setdefault(match[1], []).append(column)
    for word, columns in called.items():
        values = found.train[columns] if len(columns) >= LEAST_PIXELS and side_of(len(columns)) else pd.DataFrame()
        if not len(values) or not all(map(pd.api.types.is_integer_dtype, values.dtypes)) or values.min().min() < 0 or values.max().max() > 255:
            continue
        side = side_of(len(columns))
        found.pixels = columns
        found.input |= {"adapter": "image_pixels"} | ({"pixels": word} if word != "pixel" else {})
        found.model, found.augment = {"name": "convnet"}, {"recipe": "light", "size": max(side, SMALLEST)}
        colours = "" if len(columns) == side * side else " of three colours"
        why = f"{len(columns)} columns of whole numbers from {values.min().min()} to {values.max().max()}: pictures of {side} x {side}{colours}"
        found.findings.append(Finding("pixels", f"{columns[0]} to {columns[-1]}", why, "input.adapter"))
        found.findings.append(Finding("augment", "mirrored", "augment.flip=false where left is not right, as in letters and digits", "augment.recipe", True))
        return


def learn_from(found: Inferred, kind: str) -> None:
    """A pretrained network, and a preset for two cores; of pictures one that embeds, where rows are searched for or may be of no class."""
    if kind == "audio":
        found.model, found.augment, found.preset = dict(HEARD), {"audio": {"seconds": 5.0, "mixup": 0.5}}, {"fast": FAST_HEARD}
        return
    found.model, found.augment, found.preset = dict(PRETRAINED), {"recipe": "light", "size": 224}, {"fast": FAST}
    if found.output.get("task") == "retrieval" or found.output.get("open_set"):
        found.model["name"], found.training = "embedder", {"loss": "arcface"}
        found.preset = {"fast": {**FAST, "model": {**FAST["model"], "name": "embedder"}}}


def unequal(found: Inferred) -> None:
    """A column of 0 and 1 in the training rows alone, whose name says that labels were checked, weighs them."""
    for column in found.train:
        told = set(found.train[column].dropna().astype("str").unique()) if re.search(r"verif|curat|checked", column.lower()) else set()
        if told == {"0", "1"} and column not in {*found.id, *found.test}:
            found.input |= {"columns": {"weight": [column]}, "weights": {"0": 0.5, "1": 1.0}}
            share = (found.train[column].astype("str") == "0").mean()
            found.findings.append(Finding("weights", f"{column}: 0 counts half", f"{share:.0%} of the training rows", "input.weights", True))
            return


def addresses(values: pd.Series) -> bool:
    """Whether cells are urls, which name no file."""
    few = values.dropna().astype("str").iloc[:200]
    return bool(len(few)) and bool(few.str.match(r"https?://").mean() > 0.5)


def beside(found: Inferred, data: Path) -> list[str]:
    """Says which columns name pictures or sounds in the folder, and returns the folders that they are in."""
    inside = {p.name: p for folder in data.iterdir() if folder.is_dir() for p in itertools.islice(folder.iterdir(), 20_000)}
    folders: list[str] = []
    for column in found.features():
        values = found.train[column]
        kind = infer_kind(values).kind if not pd.api.types.is_numeric_dtype(values) else ""
        if kind in MEDIA and not addresses(values):
            few = values.dropna().iloc[:200]
            there = [v for v in few if Path(v).name in inside or (data / Path(v).name).is_file()]
            lies = sorted({inside[Path(v).name].parent.name + "/" for v in there if Path(v).name in inside})
            folders += lies
            where = shorten(lies) or "the folder"
            found.findings.append(Finding(kind, column, f"names files such as {few.iloc[0]}; of {len(few)}, {len(there)} are in {where}"))
            if not any_there(data, few):
                _placed(found, data, [f"{f}{{{column}}}" for f in lies], kind)
    if found.id:
        endings = {p.suffix.lower(): kind for p in inside.values() for kind, known in MEDIA.items() if p.suffix.lower() in known}
        few = joined(found.train, found.id)[:200] if set(found.id) <= set(found.train) else []
        for ending, kind in endings.items():
            there = [inside[f"{i}{ending}"] for i in few if f"{i}{ending}" in inside]
            if there and len(there) > 0.9 * len(few):
                name = there[0].parent.name
                folders.append(f"{name}/")
                note = f"{len(there)} of {len(few)} training ids looked for name a file there"
                made = _placed(found, data, [f"{name.replace('train', '{part}')}/{{id}}", f"{name}/{{id}}"], kind)
                note += "" if made else ", and none of the test ids: left out"
                found.findings.append(Finding(kind, f"{name}/<{found.id[0]}>{ending}", note))
    return folders


def _placed(found: Inferred, data: Path, patterns: list[str], kind: str) -> bool:
    """Takes the first pattern under which there are files of training and of test rows; an adapter makes one such column."""
    one = CALLED[kind]
    for pattern in patterns if not found.pixels and not {"pictures", "sounds"} & set(found.input) else []:
        rows = [f.iloc[:200].set_axis(joined(f, found.id)[:200]) if found.id and set(found.id) <= set(f) else f.iloc[:200] for f in (found.train, found.test)]
        places = Places(data, pattern, kind)
        try:
            both = [any_there(data, places.of(name, r.astype("str"), found.id).dropna()) for name, r in zip(("train", "test"), rows)]
        except KitError:  # several files of one name: this is not where they lie
            continue
        if all(both):
            found.input |= {f"{one}s": pattern} | ({"adapter": "audio"} if kind == "audio" else {})
            found.findings.append(Finding(f"{one}s", pattern, "there are some of training and of test rows", f"input.{one}s"))
            if urls := [c for c in found.features() if addresses(found.train[c])]:
                found.input["drop"] = [*found.input.get("drop", []), *urls]
                found.findings.append(Finding("dropped", shorten(urls), "addresses of what is there", "input.drop"))
            if not found.features():  # nothing else to learn from
                learn_from(found, kind)
            return True
    return False
