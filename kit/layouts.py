"""Recognises how an undescribed folder holds its pictures or sounds: lists in JSON, a gallery, folders that are classes, or a table of names.

Where the test rows are a table of their own, the folder is read by infer.py, and what lies beside it by media.py.
"""

import mmap
import re
from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters._annotations import Listed, listed
from kit.adapters._places import Places, any_there, last, located, stem
from kit.config import Config
from kit.discover import ENOUGH, LOOKED_AT, Finding, Inferred, Looked, Table, hint, roles, share_named, tables
from kit.errors import KitError, bullets, shorten
from kit.galleries import queries_and_gallery
from kit.infer import as_list, labels_in_a_cell, say_metric, say_positive, say_target
from kit.media import learn_from, unequal
from kit.reading import read
from kit.tables import JOINT


def pictured(data: Path, given: Config) -> Inferred | None:
    """What the folder's pictures or sounds say; None where it has none, or where they belong to the rows of tables.

    Raises KitError where several readings remain, saying what to give.
    """
    form = {k: given.input[k] for k in ("separator", "encoding") if k in given.input}
    known, ignored = tables(data, form)
    looked = Looked(data, given, known, ignored, form)
    if "target" not in given.output:
        _refuse_boxes(looked)
    found = _lists(looked) or queries_and_gallery(looked) or _class_folders(looked) or _table_of_names(looked)
    if found is None:
        looked = Looked(data, given, known, ignored, form, kind="audio")
        found = _class_folders(looked) or _table_of_names(looked)
    if found is None:
        return None
    learn_from(found, looked.kind)
    held = {v for v in found.input.values() if isinstance(v, str)} | looked.used
    others = sorted(p.name + "/" * p.is_dir() for p in data.iterdir() if p.name not in held and not p.name.startswith("."))
    if others:
        found.findings.append(Finding("ignored", shorten(others, 8), ""))
    return found


def _validates(name: str) -> bool:
    return bool(re.search(r"val|dev", name.lower()))


# --- boxes -----------------------------------------------------------------------------------------------------------------------

_CORNERS = ({"xmin", "ymin", "xmax", "ymax"}, {"x1", "y1", "x2", "y2"}, {"x_min", "y_min", "x_max", "y_max"}, {"x", "y", "w", "h"}, {"x", "y", "width", "height"}, {"bbox"})


def _refuse_boxes(looked: Looked) -> None:
    """Raises KitError where the training rows are boxes, which say where things are: labels of whole pictures would be the lesser half of them."""
    lists = [p.name for p in sorted(looked.data.glob("*.json")) if p.is_file() and len(_keys(p)) == 2]
    tables = [t.name for t in looked.known if not hint("sample", t.name)]
    columns = {t.name: {str(c).lower() for c in t.columns} for t in looked.known}
    train = looked.given.input.get("train") or next((found[0] for found in ([n for n in names if hint("train", n)] or names for names in (lists, tables)) if len(found) == 1), "")
    boxed = _holds(looked.data / train, "bbox") if train in lists else any(corners <= columns.get(train, set()) for corners in _CORNERS) and looked.folders()
    if boxed:
        raise KitError(
            f"{train} in {looked.data} has boxes: the files are of a detection\n"
            f"for boxes: kit new NAME --template detection --from {looked.data}\n"
            "for something else that the pictures have: name it and its kind, output.target=NAME output.task=TASK"
        )


# --- lists in JSON ---------------------------------------------------------------------------------------------------------------


def _lists(looked: Looked) -> Inferred | None:
    """COCO's lists, or those of the iMaterialist challenges."""
    held = {p.name: _keys(p) for p in sorted(looked.data.glob("*.json")) if p.is_file()}
    labelled = [n for n, keys in held.items() if len(keys) == 2]
    if not labelled:
        return None
    valid = [n for n in labelled if _validates(n)] if len(labelled) > 1 else []
    train = looked.choose("train", [n for n in labelled if n not in valid and not hint("test", n)], "list of training images")
    test = looked.choose("test", [n for n, keys in held.items() if "images" in keys and n not in (train, *valid)], "list of test images")
    names = {"train": train, "valid": looked.given.input.get("valid") or (valid[0] if len(valid) == 1 else ""), "test": test}
    lists = {role: listed(looked.data / n, labelled=role != "test", separator=JOINT) for role, n in names.items() if n}
    if problems := [problem for one in lists.values() for problem in one.problems]:
        raise KitError(bullets(problems))
    sample = looked.sample(set(lists["test"].rows.index))
    labels = [lists["train"].labels.get(id, []) for id in lists["train"].rows.index]
    counts = np.array([len(some) for some in labels])
    many = bool((counts != 1).any())
    target = _target_of(looked, sample, "label")
    found = Inferred(pd.DataFrame({"id": lists["train"].rows.index, target: map(" ".join, labels)}), pd.DataFrame({"id": lists["test"].rows.index}), id=["id"])
    found.input = {"adapter": "image_json", **{role: n for role, n in names.items() if n}}
    for role in lists:
        holds = f"{len(lists[role].rows)} images" + (" with annotations" if role != "test" else "")
        found.findings.append(Finding(role, names[role], holds, f"input.{role}"))
    _say_sample(found, looked, sample)
    _where(found, looked, {Path(names[role]).name.split(".")[0]: lists[role] for role in ("train", "test")})
    why = f"{counts.mean():.1f} labels an image, from {counts.min()} to {counts.max()}" if many else "each image has one label"
    _classes(found, looked, target, sample, many, why)
    _given_folds(found, looked)
    return found


def _keys(path: Path) -> set[str]:
    """Which of the two lists a JSON file names, looked for in its bytes: the file may be large."""
    return {key for key in ("images", "annotations") if _holds(path, key)}


def _holds(path: Path, key: str) -> bool:
    if not path.stat().st_size:
        return False
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as held:
        return held.find(f'"{key}"'.encode()) >= 0


def _where(found: Inferred, looked: Looked, lists: dict[str, Listed]) -> None:
    """Finds the pattern under which the images of train and of test lie."""
    by_name = next(iter(lists.values())).rows["file_name"].notna().any()
    word, usual = ("file_name", "{file_name}") if by_name else ("id", "{part}/{id}.jpg")
    folders = sorted(p.name for p in looked.data.iterdir() if p.is_dir() and not p.name.startswith("."))
    tried = [usual, *(f"{place}/{{{word}}}" for place in ("{part}", "images/{part}", "{part}_images", *folders))]
    told = looked.given.input.get("pictures")
    for pattern in [told] if told else tried:
        shares = {part: _share(looked.data, pattern, part, one.rows.iloc[:LOOKED_AT]) for part, one in lists.items()}
        if told or min(shares.values()) >= ENOUGH:
            if pattern != usual:
                found.input["pictures"] = pattern
            for part in (*lists, Path(found.input.get("valid", "")).name.split(".")[0]):
                looked.used.add(pattern.replace("{part}", part).split("/")[0])
            if pattern == "{file_name}":
                looked.used.update(name.split("/")[0] for one in lists.values() for name in one.rows["file_name"].iloc[:LOOKED_AT])
            seen = ", ".join(f"{share:.0%} of {part}" for part, share in shares.items())
            found.findings.append(Finding("pictures", pattern, f"{seen} are there, of the first {LOOKED_AT} looked for", "input.pictures"))
            return
    nowhere = f"they are not there, nor at {shorten(tried[1:], 8)}; input.pictures=... says where they lie"
    found.findings.append(Finding("pictures", usual, nowhere, "input.pictures", True))


def _share(data: Path, pattern: str, part: str, rows: pd.DataFrame) -> float:
    """0..1 of the rows' pictures that are there."""
    places = Places(data, pattern)
    paths = located(data, rows["file_name"]) if pattern == "{file_name}" else places.of(part, rows, ["id"], look="id" in places.words)
    return float(np.mean([any_there(data, [path]) for path in paths.dropna()])) if paths.notna().any() else 0.0


# --- folders that are classes ----------------------------------------------------------------------------------------------------


def _class_folders(looked: Looked) -> Inferred | None:
    """train/<class>/<file> and test/<file>, by these names or others."""
    told = looked.given.input.get("train", "")
    if not told and any(hint("train", t.name) for t in looked.known):
        return None
    folders = looked.folders()
    classed = [n for n, f in folders.items() if all("/" in p for p in f.media) and len({p.split("/")[0] for p in f.media}) > 1]
    valid = [n for n in classed if _validates(n)] if len(classed) > 1 else []
    candidates = [n for n in classed if n not in valid and not hint("test", n)]
    if told not in folders if told else not candidates:
        return None
    train = looked.choose("train", candidates, "folder of training classes")
    test = looked.choose("test", [n for n in folders if n not in (train, *valid)], f"folder of test {looked.one}s")
    if test not in folders:
        raise KitError(f"input.test={test}: there is no {looked.one} in {looked.data / test}")
    depth = max(p.count("/") for p in folders[train].media)
    which = looked.given.input.get("class_folder") or ("all" if depth > 1 else "")
    labels = pd.Series([{"first": p.split("/")[0], "last": p.split("/")[-2]}.get(which, p.rpartition("/")[0]) for p in folders[train].media])
    sample = looked.sample({name for p in folders[test].media for name in (p, stem(p), last(p), stem(last(p)))})
    target = _target_of(looked, sample, "class")
    found = Inferred(pd.DataFrame({"id": folders[train].media, target: labels}), pd.DataFrame({"id": folders[test].media}), id=["id"])
    found.input = {"adapter": looked.kind, "train": train, "test": test}
    counts = labels.value_counts()
    for role, name, holds in (
        ("train", train, f"{len(labels)} {looked.one}s in {len(counts)} folders, such as {train}/{folders[train].media[0]}"),
        ("valid", valid[0] if len(valid) == 1 else "", "folders of classes, and its name says that it validates"),
        ("test", test, f"{len(folders[test].media)} {looked.one}s, such as {test}/{folders[test].media[0]}"),
    ):
        if name:
            found.input[role] = name
            found.findings.append(Finding(role, f"{name}/", holds, f"input.{role}"))
    if which:
        found.input["class_folder"] = which
        why = f"they lie {depth} deep; input.class_folder=first or last takes one of them"
        found.findings.append(Finding("class", f"{which} of the folders", why, "input.class_folder", "class_folder" not in looked.given.input))
    _say_sample(found, looked, sample)
    _classes(found, looked, target, sample, False, f"{len(counts)} folders of {counts.min()} to {counts.max()} {looked.one}s")
    _given_folds(found, looked)
    return found


# --- a table of names ------------------------------------------------------------------------------------------------------------


def _table_of_names(looked: Looked) -> Inferred | None:
    """A table of names and labels, and none of the test rows: they are the sample's, or the files of a folder."""
    told = as_list(looked.given.output.get("target"))
    try:
        taken, test, _ = roles(looked.known, looked.ignored, looked.given, told, looked.data, looked.form)
        if not hint("sample", taken.name) and (hint("test", test.name) or not hint("sample", test.name)):
            return None  # else a sample, whose answers training rows have beside other columns, passes for test rows
    except KitError:
        pass  # no train beside test: infer.py says so again, if this is no table of names either
    sample = next((t for t in looked.known if t.name == looked.given.input.get("sample_submission") or hint("sample", t.name)), None)
    named = [t for t in looked.known if t is not sample and t.name == looked.given.input.get("train", t.name)]
    train = next((t for t in named if hint("train", t.name) or len(named) == 1), None)
    if train is None:
        return None
    rows, cells, folders = looked.cells(train), looked.cells(sample), looked.folders()
    homes = [(c, n) for c in train.columns for n, f in folders.items() if looked.given.input.get("id", c) == c and share_named(f, rows[c]) > 0.9]
    aways = [n for n, f in folders.items() if hint("test", n) or (cells is not None and share_named(f, cells.iloc[:, 0]) >= ENOUGH)]
    listed_elsewhere = {c for t in named if t is not train for c in t.columns}  # perhaps test rows, of which roles could not choose
    for id, home in homes if not {c for c, _ in homes} & listed_elsewhere else []:
        for pattern, away in ((f"{home.replace('train', '{part}')}/{{id}}", home.replace("train", "test")), (f"{home}/{{id}}", home)):
            if away in aways and (cells is not None or away != home):
                looked.used.update((home, away))
                return _of_names(looked, train, sample, id, home, away, pattern)
    return None


def _of_names(looked: Looked, train: Table, sample: Table | None, id: str, home: str, away: str, pattern: str) -> Inferred:
    cells = looked.cells(sample)
    ids = [stem(last(p)) for p in looked.folders()[away].media] if cells is None else list(cells.iloc[:, 0])
    found = Inferred(read(looked.data / train.name, text=[id], **looked.form), pd.DataFrame({id: ids}), id=[id])
    found.input = {"adapter": looked.kind, "train": train.name, "test": "test", "id": id} | ({f"{looked.one}s": pattern} if pattern != "{part}/{id}" else {})
    found.findings += [
        Finding("train", train.name, f"{len(found.train)} rows, and there is no table of test rows", "input.train"),
        Finding("id", id, f"its values name {looked.one}s in {home}/", "input.id"),
        Finding("test", f"{away}/", f"the rows are the {len(ids)} " + (f"ids of {sample.name}" if sample else f"{looked.one}s in it"), "input.test"),
        Finding(f"{looked.one}s", pattern, "endings are found", f"input.{looked.one}s"),
    ]
    if looked.kind == "audio":
        unequal(found)
    if sample:
        found.input["sample_submission"] = sample.name
        found.findings.append(Finding("sample", sample.name, f"{len(cells)} rows, columns {shorten(sample.columns, 6)}", "input.sample_submission"))
    say_target(found, looked.given, as_list(looked.given.output.get("target")), cells, train, Table(f"{away}/", [id], 0), sample)
    return found


# --- what lists and folders share ------------------------------------------------------------------------------------------------


def _target_of(looked: Looked, sample: Table | None, usual: str) -> str:
    """What the target is called: as the one answer column of the sample is."""
    told = as_list(looked.given.output.get("target"))
    return told[0] if told else sample.columns[1] if sample is not None and len(sample.columns) == 2 else usual


def _say_sample(found: Inferred, looked: Looked, sample: Table | None) -> None:
    if sample is not None:
        found.input["sample_submission"] = sample.name
        found.input |= {"id": sample.columns[0]} if sample.columns[0] != "id" else {}
        rows = len(looked.cells(sample))
        found.findings.append(Finding("sample", sample.name, f"{rows} rows, columns {shorten(sample.columns, 6)}", "input.sample_submission"))


def _classes(found: Inferred, looked: Looked, target: str, sample: Table | None, many: bool, why: str) -> None:
    """Target, task and metric where labels are classes."""
    given, cells = looked.given, looked.cells(sample)
    found.targets = [target]
    classes = {label for cell in found.train[target] for label in (cell.split(" ") if many else [cell]) if label}
    if len(classes) < 2:
        raise KitError(f"there is one class, {shorten(classes)}: nothing is to be told apart")
    task = given.output.get("task") or ("multilabel" if many else "binary" if len(classes) == 2 else "multiclass")
    found.output = {"target": target, "task": task, **{k: v for k, v in given.output.items() if k not in ("target", "task")}}
    found.findings.append(Finding("target", target, f"as {sample.name} calls it" if sample and target in sample.columns else "", "output.target"))
    found.findings.append(Finding("task", task, "as given" if given.output.get("task") else f"{why}; {len(classes)} classes", "output.task"))
    if task == "binary" and "positive" not in found.output:
        say_positive(found, target)
    answers = pd.DataFrame() if cells is None else cells.iloc[:, 1:]
    numbers = pd.to_numeric(answers.stack(), errors="coerce").dropna() if answers.shape[1] else pd.Series(dtype=float)
    fractional = bool((numbers % 1 != 0).any())
    several = labels_in_a_cell(answers.iloc[:, 0]) if answers.shape[1] == 1 else 1
    say_metric(found, given, task, answers.shape[1] > 1 or fractional, sample, fractional, numbers, several)


def _given_folds(found: Inferred, looked: Looked) -> None:
    if found.input.get("valid") and not looked.given.score.get("folds"):
        found.score["folds"] = "given"
        found.findings.append(Finding("folds", "given", f"the host's own validation {looked.one}s: {found.input['valid']}", "score.folds"))
