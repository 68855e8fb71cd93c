"""Rows as points of a plane: their embeddings, or what a classifier says of them, along the two directions in which they differ most."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.reporting.cards import Card, legend, together
from kit.reporting.charts import Axis, svg
from kit.reporting.markup import Html, clean, el
from kit.reporting.seen import Seen
from kit.reporting.shelf import Shelf
from kit.shards import Shards

_ROWS = 1_500
_COLOURS = 7  # classes that have one of their own
_PICTURES, _SIDE = 42, 30  # of the rows, that are drawn as what they are; pixels
_WIDTH, _HEIGHT = 680, 400
_DIRECTORIES = ("fold-0/valid", "refit/gallery", "fold-0/gallery", "refit/queries")


def embeddings(seen: Seen, shelf: Shelf | None) -> Card | None:
    """Of a run that searches: the vectors of the first fold's validated rows, else of the gallery."""
    for name in _DIRECTORIES:
        folder = seen.run.folder / name
        if (folder / "index.json").is_file():
            return _of_vectors(seen, shelf, folder, labelled=name.startswith("fold-0/valid"))
    return None


def _of_vectors(seen: Seen, shelf: Shelf | None, folder: Path, labelled: bool) -> Card:
    shards = Shards.open(folder)
    drawn = np.sort(np.random.default_rng(0).permutation(len(shards))[:_ROWS])
    vectors = np.stack([shards[slice(n, n + 1)][0] for n in drawn.tolist()]) if len(drawn) < len(shards) else shards.vectors()
    ids = shards.ids[drawn]
    classes, rows = None, None
    if seen.data is not None:
        tables = seen.data.tables
        if labelled and tables.truth is not None:
            classes = tables.truth.set_index("id")[seen.data.task.targets[0]].reindex(ids).astype("str").to_list()
        source = tables.train if labelled else tables.gallery if "gallery" in folder.name else tables.test
        rows = source.reindex(ids) if source is not None else None
    what = "rows that the first fold validates" if labelled else "rows of the gallery" if "gallery" in folder.name else "test rows"
    return _map("Map of the embeddings", vectors, ids, classes, rows, shelf, f"{len(ids)} {what}")


def answers(seen: Seen, shelf: Shelf | None) -> Card | None:
    """Of a classifier: the square roots of its probabilities, whose distances are those of Hellinger (1909)."""
    oof, truth, _ = seen.answers
    columns = [c for c in oof.rows.columns if c.startswith("p_")]
    if len(columns) < 3:
        return None
    drawn = np.sort(np.random.default_rng(0).permutation(len(oof.ids))[:_ROWS])
    ids = oof.ids[drawn]
    vectors = np.sqrt(np.clip(oof.aligned(truth["id"])[columns].to_numpy(dtype=np.float64)[drawn], 0, None))
    classes = truth[seen.data.task.targets[0]].astype("str").to_numpy()[drawn].tolist()
    return _map("Map of the answers", vectors, ids, classes, seen.data.tables.train.loc[list(ids)], shelf, f"{len(ids)} rows out of fold by the probabilities that they got")


def _map(title: str, vectors: np.ndarray, ids: np.ndarray, classes: list[str] | None, rows: pd.DataFrame | None, shelf: Shelf | None, what: str) -> Card:
    points, kept = _plane(vectors)
    x, y = Axis.over(points[:, 0]), Axis.over(points[:, 1])
    at = np.column_stack([[12 + x.share(v) * (_WIDTH - 24) for v in points[:, 0]], [12 + (1 - y.share(v)) * (_HEIGHT - 24) for v in points[:, 1]]]).round(1)
    commonest = list(pd.Series(classes).value_counts().index[:_COLOURS]) if classes is not None else []
    place = {name: n + 1 for n, name in enumerate(commonest)}
    marks: list[Html] = []
    for n in np.argsort([-place.get(c, 99) for c in classes] if classes is not None else np.zeros(len(ids)), kind="stable").tolist():
        told = clean(ids[n], 60) if classes is None else f"{clean(ids[n], 60)}: {clean(classes[n], 60)}"
        colour = "a" if classes is None else f"c{place[classes[n]]}" if classes[n] in place else "quiet"
        marks.append(el("circle", el("title", told), cx=at[n, 0], cy=at[n, 1], r=3, class_=f"dot faint {colour}"))
    if rows is not None and shelf is not None and shelf.of_kind("image"):
        for n in _spread(at):
            picture = shelf.small(rows.iloc[n], _SIDE)
            if picture is not None and 'src="' in picture:
                colour = f"c{place[classes[n]]}" if classes is not None and classes[n] in place else "quiet"
                source = str(picture).split('src="')[1].split('"')[0]
                here = {"x": at[n, 0] - _SIDE / 2, "y": at[n, 1] - _SIDE / 2, "width": _SIDE, "height": _SIDE}
                marks += [el("image", href=Html(source), **here), el("rect", **here, class_=f"frame {colour}")]
    named = legend(*((f"c{place[name]}", clean(name, 30)) for name in commonest), *([("quiet", "others")] if classes is not None and len(set(classes)) > _COLOURS else []))
    note = f"{what}, along the two directions in which they differ most: {100 * kept:.0f} % of how they vary"
    chart = svg(marks, _WIDTH, _HEIGHT, title)
    return Card(title, together(chart, named) if commonest else chart, note, wide=True)


def _plane(vectors: np.ndarray) -> tuple[np.ndarray, float]:
    """((n, 2) along the first two principal components, 0..1 the share of the variance that they hold)."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    covariance = centred.T @ centred
    values, directions = np.linalg.eigh(covariance)
    first = directions[:, ::-1][:, :2]
    first = first * np.where(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])] < 0, -1.0, 1.0)  # a direction has two signs: the same one each time
    flat = centred @ first
    return (flat if flat.shape[1] == 2 else np.column_stack([flat, np.zeros(len(flat))])), float(values[::-1][:2].sum() / max(values.sum(), 1e-300))


def _spread(at: np.ndarray) -> list[int]:
    """Points far from one another: each the farthest from those before it, until they would touch."""
    if not len(at):
        return []
    chosen = [int(np.argmin(((at - at.mean(axis=0)) ** 2).sum(axis=1)))]
    distance = np.abs(at - at[chosen[0]]).max(axis=1)
    while len(chosen) < _PICTURES and distance.max() > _SIDE + 2:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.abs(at - at[chosen[-1]]).max(axis=1))
    return chosen
