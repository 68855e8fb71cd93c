"""Recognises a folder of queries and a gallery that they look through, as tables of ids or as folders, with labels or without.

Names say which is which; where there is a sample submission, its answers must be ids of the gallery.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters._places import any_there, stem
from kit.discover import ENOUGH, LOOKED_AT, Finding, Inferred, Looked, Table, hint, share_named
from kit.errors import shorten
from kit.media import addresses

GALLERY = r"galler|index|database|reference|corpus"
QUERIES = r"quer|probe"
FEW_PICTURES = 2  # a label is worth learning from if it has so many


@dataclass(frozen=True)
class _Part:
    """Queries or gallery: a table of ids, or a folder whose pictures' names are the ids."""

    name: str
    table: Table | None
    ids: pd.Series

    def holds(self, ids: list[str]) -> float:
        """0..1 of these."""
        known = set(self.ids)
        return float(np.mean([id in known for id in ids])) if ids else 0.0


def queries_and_gallery(looked: Looked) -> Inferred | None:
    """A retrieval's config; None where nothing is a gallery."""
    names = [*(t.name for t in looked.known), *(p.name for p in looked.data.iterdir() if p.is_dir())]
    if not any(re.search(GALLERY, name.lower()) or name == looked.given.input.get("gallery") for name in names):
        return None  # before tables are read, which may be large
    parts = _parts(looked)
    sample = _sample(looked, parts)
    gallery = _gallery(looked, parts, sample)
    queries = _queries(looked, parts, gallery, sample) if gallery is not None else None
    if gallery is None or queries is None:
        return None
    id = sample.columns[0] if sample else gallery.table.columns[0] if gallery.table else "id"
    found = Inferred(pd.DataFrame({id: gallery.ids}), pd.DataFrame({id: queries.ids}), id=[id])
    found.input = {"adapter": "image", "test": queries.name, "gallery": gallery.name} | ({"id": id} if id != "id" else {})
    found.findings += [
        Finding("queries", queries.name, f"{len(queries.ids)} " + ("rows" if queries.table else "pictures"), "input.test"),
        Finding("gallery", gallery.name, _why(looked, gallery, sample), "input.gallery"),
    ]
    if sample:
        found.input["sample_submission"] = sample.name
        found.findings.append(Finding("sample", sample.name, f"{len(looked.cells(sample))} rows, columns {shorten(sample.columns, 6)}", "input.sample_submission"))
    target = looked.given.output.get("target") or (sample.columns[1] if sample else "images")
    found.targets = [target]
    found.output = {**looked.given.output, "target": target, "task": "retrieval"}
    found.findings.append(Finding("task", "retrieval", f"rows of {queries.name} look for those of {gallery.name}", "output.task"))
    _labels(found, looked, id, gallery, queries, sample)
    _pictures(found, looked, gallery, queries)
    rows = looked.cells(gallery.table) if found.input.get("train") == "" else found.train
    urls = [c for c in rows if c != id and addresses(rows[c])] if rows is not None else []
    if urls and not looked.given.input.get("labels_from"):  # what another competition's rows hold is not known here
        found.input["drop"] = urls
        found.findings.append(Finding("dropped", shorten(urls), "addresses, not pictures", "input.drop"))
    if "metric" in looked.given.score:
        found.score["metric"] = looked.given.score["metric"]
    else:
        found.score["metric"] = "retrieval_map_at_k"
        found.findings.append(Finding("metric", "retrieval_map_at_k", "usual for retrieval; score.metric=recall_at_k is another", "score.metric", True))
    return found


def _parts(looked: Looked) -> list[_Part]:
    """All tables whose first column names rows, and all folders of pictures without tables of their name."""
    tables = [_Part(t.name, t, looked.cells(t).iloc[:, 0]) for t in looked.known]
    tables = [p for p in tables if len(p.ids) and p.ids.is_unique]
    named_so = {p.name.split(".")[0] for p in tables}
    folders = [(name, f) for name, f in looked.folders().items() if name not in named_so]
    return tables + [_Part(name, None, pd.Series([stem(n) for n in f.media])) for name, f in folders]


def _sample(looked: Looked, parts: list[_Part]) -> Table | None:
    told = looked.given.input.get("sample_submission")
    fits = [p.table for p in parts if p.table and len(p.table.columns) == 2 and (p.name == told if told else hint("sample", p.name))]
    return fits[0] if len(fits) == 1 else None


def _gallery(looked: Looked, parts: list[_Part], sample: Table | None) -> _Part | None:
    others = [p for p in parts if p.table is not sample or sample is None]
    if told := looked.given.input.get("gallery"):
        return next((p for p in others if p.name == told), None)
    likely = [p for p in others if re.search(GALLERY, p.name.lower())]
    if sample is not None:
        asked = [word for cell in looked.cells(sample).iloc[:LOOKED_AT, 1].dropna() for word in cell.split()]
        likely = [p for p in likely if p.holds(asked) == 1]
    return likely[0] if len(likely) == 1 else None


def _queries(looked: Looked, parts: list[_Part], gallery: _Part, sample: Table | None) -> _Part | None:
    others = [p for p in parts if p is not gallery and (sample is None or p.table is not sample)]
    if told := looked.given.input.get("test"):
        return next((p for p in others if p.name == told), None)
    if sample is not None:
        ids = list(looked.cells(sample).iloc[:, 0])
        return max((p for p in others if p.holds([stem(i) for i in ids] if p.table is None else ids) >= ENOUGH), key=lambda p: p.table is not None, default=None)
    sure = [p for p in others if re.search(QUERIES, p.name.lower())]
    tested = [] if any(hint("train", p.name) for p in others) else [p for p in others if hint("test", p.name)]
    return next(iter(sure or tested), None)


def _why(looked: Looked, gallery: _Part, sample: Table | None) -> str:
    holds = f"{len(gallery.ids)} " + ("rows" if gallery.table else "pictures")
    return f"{holds}; the answers of {sample.name} are ids of it" if sample else f"{holds}, and it is called so"


def _labels(found: Inferred, looked: Looked, id: str, gallery: _Part, queries: _Part, sample: Table | None) -> None:
    """The table that says of which thing pictures are; without one there are no labels, and nothing is scored."""
    told = looked.given.input.get("train")
    lender = looked.given.input.get("labels_from")
    for table in [] if lender or told == "" else [t for t in looked.known if t not in (queries.table, sample) and t.name == (told or t.name)]:
        rows = looked.cells(table)
        classes = [c for c in table.columns if c != id and FEW_PICTURES * rows[c].nunique() <= rows[c].notna().sum() and c == looked.given.output.get("label", c) and not addresses(rows[c])]
        if id not in rows or len(classes) != 1 or not (gallery.holds(list(rows[id])) >= ENOUGH or _own_pictures(looked, rows[id])):
            continue
        label, counts = classes[0], rows[classes[0]].value_counts()
        found.train = rows
        found.input["train"], found.output["label"] = table.name, label
        found.findings.append(Finding("labels", f"{label} of {table.name}", f"{len(counts)} of {counts.min()} to {counts.max()} pictures", "input.train"))
        _say_folds(found, min(5, len(counts)))
        return
    if lender:
        _say_folds(found, 5)
    else:
        found.input["train"] = ""
        why = "the weights are used as they are, and nothing is scored; input.labels_from=COMPETITION learns from another's"
        found.findings.append(Finding("labels", "none", why, "input.train"))


def _say_folds(found: Inferred, count: int) -> None:
    found.score["folds"] = {"scheme": "classes", "count": count}
    found.findings.append(Finding("folds", f"classes, {count}", "queries may be of things that no label names", "score.folds", True))


def _own_pictures(looked: Looked, names: pd.Series) -> bool:
    return "train" in looked.folders() and share_named(looked.folders()["train"], names) >= ENOUGH


def _pictures(found: Inferred, looked: Looked, gallery: _Part, queries: _Part) -> None:
    """The pattern under which pictures of both lie."""
    folders = {name: looked.data / name for name in looked.folders()}
    words = [Path(p.name).name.split(".")[0] for p in (gallery, queries)]
    if told := looked.given.input.get("pictures"):
        found.input["pictures"] = told
        return
    for pattern in ("{part}", "images/{part}", "{part}_images", *folders):
        inside = [pattern.replace("{part}", word) for word in words]
        if all(_there(looked, place, part) for place, part in zip(inside, (gallery, queries))):
            if pattern != "{part}":
                found.input["pictures"] = f"{pattern}/{{id}}"
            looked.used.update(place.split("/")[0] for place in inside)
            found.findings.append(Finding("pictures", f"{pattern}/{{id}}", "there are some of queries and gallery", "input.pictures"))
            return
    found.findings.append(Finding("pictures", "{part}/{id}", "they are not there; input.pictures=... says where they lie", "input.pictures", True))


def _there(looked: Looked, inside: str, part: _Part) -> bool:
    if part.table is None:
        return inside == part.name
    some = part.ids.iloc[:LOOKED_AT]
    endings = [""] if stem(some.iloc[0]) != some.iloc[0] else [".jpg", ".png", ".jpeg"]
    return any(any_there(looked.data, (f"{inside}/{id}{ending}" for id in some)) for ending in endings)
