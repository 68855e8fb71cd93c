"""Rows to look at: those that the run is most wrong about, and those that it is surest and right about."""

import numpy as np
import pandas as pd

from kit.reporting.cards import Judged
from kit.reporting.learning import importances
from kit.reporting.markup import Html, clean, el
from kit.reporting.seen import Seen
from kit.reporting.shelf import Shelf, shown_id

_SHOWN = 6


def shelf_of(seen: Seen) -> Shelf:
    """The columns in the order of their importance, where a model tells one."""
    order = {name: n for n, name in enumerate(importances(seen))}
    return Shelf(dict(sorted(seen.schema.items(), key=lambda item: order.get(item[0], len(order)))))


def specimens(seen: Seen, judged: Judged, shelf: Shelf) -> Html | None:
    if not len(judged.ids):
        return None
    order = np.argsort(-judged.errors, kind="stable")
    wrong = [n for n in order.tolist() if judged.right is None or not judged.right[n]][:_SHOWN]
    right = _varied([n for n in order[::-1].tolist() if n not in wrong and (judged.right is None or judged.right[n])], judged)
    told = [("Most wrong", wrong), ("Most right" if judged.right is not None else "Nearest", right)]
    blocks = [el("h3", title) + el("div", *(_one(seen, judged, n, shelf) for n in rows), class_="specimens") for title, rows in told if rows]
    return el("section", el("h2", "Examples"), el("p", f"in the order of: {judged.measure}", el("span", f"; {seen.drawn}" if seen.drawn else ""), class_="note"), *map(Html, blocks), class_="wide")


def _varied(places: list[int], judged: Judged) -> list[int]:
    """The first few, of as many classes as there are."""
    if not judged.classes:
        return places[:_SHOWN]
    taken: dict[str, int] = {}
    for n in places:
        taken.setdefault(judged.classes[n], n)
        if len(taken) == _SHOWN:
            break
    first = list(taken.values())
    return [*first, *(n for n in places if n not in first)][:_SHOWN]


def _one(seen: Seen, judged: Judged, n: int, shelf: Shelf) -> Html:
    id = str(judged.ids[n])
    tables = seen.data.tables
    class_ = "" if judged.right is None else "good" if judged.right[n] else "bad"
    lines = [el("p", el("span", "true "), el("b", clean(judged.true[n], 80)), class_="true")] if judged.true[n] else []
    lines.append(el("p", el("span", "said "), el("b", clean(judged.said[n], 80), class_=class_), class_="said"))
    found = el("div", *(_neighbour(tables, name, right, shelf) for name, right in judged.found[n]), class_="found") if judged.found else Html("")
    return el("article", *shelf.whole(tables.train.loc[id]), el("div", *lines, class_="verdict"), found, el("p", f"id {shown_id(id)}", class_="id", title=clean(id, 200)))


def _neighbour(tables, id: str, right: bool, shelf: Shelf) -> Html:
    row: pd.Series | None = tables.train.loc[id] if id in tables.train.index else tables.gallery.loc[id] if tables.gallery is not None and id in tables.gallery.index else None
    small = shelf.small(row, 56) if row is not None and shelf.shows() else None
    return el("span", small if small is not None else shown_id(id), class_=f"near {'good' if right else 'bad'}", title=f"{clean(id, 80)}: {'right' if right else 'wrong'}")
