"""Events of hits in folders, a handful of files an event: which hits are of one particle is asked, and a submission has a row a hit.

A row of the tables is an event, and its one column names the event's files. What is true of it is read when it is asked for: the events of
a competition are too many for memory.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from kit.adapters import _sample_events
from kit.adapters._places import Folder, described
from kit.adapters.tabular import Tabular
from kit.errors import DataError, bullets, shorten
from kit.events import Tracks, TracksFile, columns
from kit.predictions import Predictions
from kit.reading import read
from kit.tables import JOINT

_HITS = re.compile(r"(.*event(\d+))-hits\.csv(\.gz)?")
EVENT, HIT, PARTICLE, WEIGHT = "event_id", "hit_id", "particle_id", "weight"
COLUMN = "event"  # of the prefix of an event's files


class Tracking(Tabular):
    def __init__(self, data: Path, task: Any, *, train: str | list[str] = "train_100_events", test: str = "test", sample_submission: str = ""):
        """
        train              the folder of the training events, or several; one may lie in a zip: train_sample.zip/train_100_events
        test               the folder of the test events
        sample_submission  whose events and hits a submission must have; "" is those of the test folder
        """
        self.folders = [train] if isinstance(train, str) else list(train)
        super().__init__(
            data, task, train=", ".join(self.folders), test=test, sample_submission=sample_submission, id=[EVENT, HIT], columns={"points": [COLUMN]}
        )  # fmt: skip

    def train_files(self) -> list[Path]:
        return [self._top(name) for name in self.folders]

    def test_files(self) -> list[Path]:
        return [self._top(self.test_file), *self._tables(self.sample_file)]

    def _top(self, name: str) -> Path:
        """The folder, or the zip that it lies in."""
        path = self.data / self._packed(name)
        return next((part for part in (path, *path.parents) if part.is_file()), path)

    def _packed(self, name: str) -> str:
        """The folder's name; within the zip of its own name where only that is there."""
        return f"{name}.zip/{name}" if not (self.data / name).exists() and (self.data / f"{name}.zip").is_file() else name

    # --- events ------------------------------------------------------------------------------------------------------------------

    def _events(self, names: list[str], part: str) -> pd.Series:
        """Prefix of the files of each event in these folders that has that part, index id. Raises DataError where there are none, or one twice."""
        prefixes: list[str] = []
        for name in names:
            folder = Folder(self.data, self._packed(name))
            held = set(folder.names)
            found = [match[1] for match in map(_HITS.fullmatch, folder.names) if match]
            if not found:
                raise DataError(f"no events in {folder.top}: expected files such as event000001000-hits.csv\n{described(self.data)}")
            kept = sorted({prefix for prefix in found if {f"{prefix}-{part}.csv", f"{prefix}-{part}.csv.gz"} & held})
            if len(kept) < len(set(found)):
                self.notes.append(f"{len(set(found)) - len(kept)} events of {name} have no file of {part}, so left out: {shorten(sorted(set(found) - set(kept)), 3)}")
            prefixes += [f"{folder.top}/{prefix}" for prefix in kept]
        ids = pd.Index([str(int(prefix.rpartition("event")[2])) for prefix in prefixes], dtype="str", name="id")
        twice = ids[ids.duplicated()].unique()
        if len(twice):
            raise DataError(f"{len(twice)} events are in {shorten(names)} more than once: {shorten(twice)}\nname each folder's events once")
        return pd.Series(prefixes, index=ids, dtype="str").sort_index()

    def read_train(self) -> pd.DataFrame:
        """The prefix of each event's files, and what is true of it, index id."""
        events = self._events(self.folders, "truth")
        if not len(events):
            raise DataError(f"no event of {self.train_file} has a file of truth, such as event000001000-truth.csv\nare these the training events?")
        return pd.DataFrame({COLUMN: events, self.task.targets[0]: pd.Series([TracksFile(p) for p in events], index=events.index, dtype=object)})

    def read_test(self, text: Sequence[str] = ()) -> pd.DataFrame:
        return pd.DataFrame({COLUMN: self._events([self.test_file], "hits")})

    # --- answers and submissions -------------------------------------------------------------------------------------------------

    def answers(self, path: Path, weight: str = "") -> pd.DataFrame:
        """Truth from a file of event_id, hit_id, particle_id and weight."""
        frame = _whole_numbers(read(Path(path)), [EVENT, HIT, PARTICLE], str(path), [WEIGHT])
        events, own, twice = _by_event(frame)
        if twice:
            raise DataError(f"{path} has {twice} hits on more than one row: remove the copies")
        hits, particles, weights = (frame[c].to_numpy() for c in (HIT, PARTICLE, WEIGHT))
        tracks = [Tracks(hits[rows], particles[rows], weights[rows].astype(np.float64)) for rows in own]
        truth = pd.DataFrame({"id": pd.Series(events, dtype="str"), self.task.targets[0]: pd.Series(tracks, dtype=object)})
        return truth.sort_values("id", ignore_index=True)

    def layout(self, needs: str) -> tuple[list[str], list[str]]:
        """A sample of millions of rows is not read to learn its header."""
        return self.known_layout or (self.id, self.task.targets)

    def sample(self) -> pd.DataFrame | None:
        """The events of the sample submission, index id in the file's order; None if the config names none."""
        return None if not self.sample_file else pd.DataFrame(index=pd.Index(self._sampled, dtype="str", name="id"))

    def _ids_in_file_order(self) -> pd.Index:
        return self._events([self.test_file], "hits").index

    @cached_property
    def _sampled(self) -> dict[str, np.ndarray]:
        """Event -> its hits, by the sample submission."""
        frame = _whole_numbers(read(self.data / self.sample_file), [EVENT, HIT], self.sample_file, [])
        events, own, twice = _by_event(frame)
        if twice:
            raise DataError(f"{self.sample_file} has {twice} hits on more than one row: fetch it again")
        hits = frame[HIT].to_numpy()
        return {event: hits[rows] for event, rows in zip(events, own)}

    def _hits(self, ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Event -> (n,) the hits that a submission must have, rising; of those of these events that are to be submitted."""
        if self.sample_file:
            return {id: self._sampled[id] for id in ids if id in self._sampled}
        events = self._events([self.test_file], "hits")
        return {id: columns(events[id], "hits", {HIT: pa.int64()})[HIT] for id in ids if id in events.index}

    def submission_ids(self, ids: np.ndarray) -> pd.Index:
        """Event and hit, joined."""
        wanted = self._hits(list(ids))
        parts = [f"{id}{JOINT}" + pd.Series(hits).astype("str") for id, hits in wanted.items()]
        return pd.Index(pd.concat(parts), dtype="str")

    def submission(self, predictions: Predictions, post: dict[str, Any], needs: str) -> pd.DataFrame:
        """A row a hit, by the numbers of event and hit; one of which nothing was predicted is a group of its own."""
        ids = sorted(predictions.ids, key=int)
        wanted = self._hits(ids)
        hits, groups = (predictions.rows[c].to_numpy(dtype=np.int64) for c in ("hit_id", "group"))
        parts = []
        for id, own in zip(ids, predictions.each(ids)):
            alone = np.setdiff1d(wanted.get(id, []), hits[own]).astype(np.int64)
            first = int(groups[own].max(initial=0)) + 1
            hit = np.concatenate([hits[own], alone])
            order = np.argsort(hit, kind="stable")
            parts.append((hit[order], np.concatenate([groups[own], np.arange(first, first + len(alone))])[order]))
        events = np.repeat([int(id) for id in ids], [len(hit) for hit, _ in parts])
        id_columns, (target,) = self.layout(needs)
        joined = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
        return pd.DataFrame(dict(zip([*id_columns, target], (events, *joined))))

    def read_submission(self, path: Path, needs: str) -> Predictions:
        """Raises DataError for a hit that has two rows, and for what is no whole number."""
        id_columns, targets = self.layout(needs)
        frame = _whole_numbers(read(Path(path)), [*id_columns, *targets], str(path), [])
        events, own, twice = _by_event(frame)
        if twice:
            raise DataError(f"{path} has {twice} hits on more than one row, and each is of one track: remove the copies")
        hits, groups = (frame[c].to_numpy() for c in (HIT, targets[0]))
        return self.task.decode(events, [(hits[rows], groups[rows]) for rows in own])

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 8) -> None:
        """Made events of a small detector, in the competition's layout.

        rows  events, of which a quarter are to be tested
        """
        _sample_events.write(Path(folder), self.folders[0], self.test_file, self.sample_file, self.task.targets[0], rows)


def _whole_numbers(frame: pd.DataFrame, names: list[str], source: str, beside: list[str]) -> pd.DataFrame:
    """These columns, and those beside them. Raises DataError where one is missing, or not a whole number in each row."""
    problems = [f"{source} has no column {name}; it has {shorten(frame.columns, 10)}" for name in (*names, *beside) if name not in frame]
    problems += [f"{source} column {n} is not a whole number in each row, such as 17" for n in names if n in frame and not pd.api.types.is_integer_dtype(frame[n])]
    problems += [f"{source} column {n} is not a number in each row" for n in beside if n in frame and not (pd.api.types.is_numeric_dtype(frame[n]) and frame[n].notna().all())]
    if problems:
        raise DataError(bullets(problems))
    if not len(frame):
        raise DataError(f"{source} has a header and no rows")
    return frame[[*names, *beside]]


def _by_event(frame: pd.DataFrame) -> tuple[list[str], list[np.ndarray], int]:
    """(events as text, rows of each in the order of its hits, rows of a hit that has one already)."""
    event, hit = frame[EVENT].to_numpy(), frame[HIT].to_numpy()
    order = np.lexsort((hit, event))
    change = np.flatnonzero(np.diff(event[order])) + 1
    same = (np.diff(event[order]) == 0) & (np.diff(hit[order]) == 0)
    return [str(e) for e in event[order[np.r_[0, change]]]], np.split(order, change), int(same.sum())
