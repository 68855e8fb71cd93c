"""Finds what the tables of an undescribed folder hold besides plain columns: names of pictures and sounds beside them, and pixels.

What is found is said with its evidence, and pictures that both training and test rows have become part of the config.
"""

import itertools
import re
from pathlib import Path

import pandas as pd

from kit.adapters._places import Places, any_there
from kit.adapters.image_pixels import side_of
from kit.discover import Finding, Inferred, joined
from kit.errors import KitError, shorten
from kit.tables import MEDIA, infer_kind
from kit.transforms import SMALLEST

LEAST_PIXELS = 64  # fewer numbered columns may be anything
PRETRAINED = {"name": "timm", "architecture": "convnext_tiny.in12k_ft_in1k", "weights": "hub"}
FAST = {"model": {**PRETRAINED, "architecture": "tf_efficientnet_lite0", "weights": "package"}, "train": {"epochs": 8}, "augment": {"size": 96}}


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


def learn_from_pictures(found: Inferred) -> None:
    """A pretrained network, and a preset for two cores; one that embeds where rows are searched for, or may be of no class."""
    found.model, found.augment, found.preset = dict(PRETRAINED), {"recipe": "light", "size": 224}, {"fast": FAST}
    if found.output.get("task") == "retrieval" or found.output.get("open_set"):
        found.model["name"], found.training = "embedder", {"loss": "arcface"}
        found.preset = {"fast": {**FAST, "model": {**FAST["model"], "name": "embedder"}}}


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
            if kind == "image" and not any_there(data, few):
                _pictures(found, data, [f"{f}{{{column}}}" for f in lies])
    if found.id:
        endings = {p.suffix.lower(): kind for p in inside.values() for kind, known in MEDIA.items() if p.suffix.lower() in known}
        few = joined(found.train, found.id)[:200] if set(found.id) <= set(found.train) else []
        for ending, kind in endings.items():
            there = [inside[f"{i}{ending}"] for i in few if f"{i}{ending}" in inside]
            if there and len(there) > 0.9 * len(few):
                name = there[0].parent.name
                folders.append(f"{name}/")
                note = f"{len(there)} of {len(few)} training ids looked for name a file there"
                made = kind == "image" and _pictures(found, data, [f"{name.replace('train', '{part}')}/{{id}}", f"{name}/{{id}}"])
                note += "" if made else "; a column of them needs an adapter.py" if kind != "image" else ", and none of the test ids: left out"
                found.findings.append(Finding(kind, f"{name}/<{found.id[0]}>{ending}", note))
    return folders


def _pictures(found: Inferred, data: Path, patterns: list[str]) -> bool:
    """Takes the first pattern under which there are pictures of training and of test rows."""
    for pattern in patterns if not found.pixels and "pictures" not in found.input else []:
        rows = [f.iloc[:200].set_axis(joined(f, found.id)[:200]) if found.id and set(found.id) <= set(f) else f.iloc[:200] for f in (found.train, found.test)]
        places = Places(data, pattern)
        try:
            both = [any_there(data, places.of(name, r.astype("str"), found.id).dropna()) for name, r in zip(("train", "test"), rows)]
        except KitError:  # several pictures of one name: this is not where they lie
            continue
        if all(both):
            found.input["pictures"] = pattern
            found.findings.append(Finding("pictures", pattern, "there are some of training and of test rows", "input.pictures"))
            if urls := [c for c in found.features() if addresses(found.train[c])]:
                found.input["drop"] = [*found.input.get("drop", []), *urls]
                found.findings.append(Finding("dropped", shorten(urls), "addresses of what is there", "input.drop"))
            if not found.features():  # nothing else to learn from
                learn_from_pictures(found)
            return True
    return False
