"""A bundle rehearsed before it is sent: its notebook run in a fresh environment without network, on test files that it has not seen.

What runs is the notebook's own code, with the bundle's own wheels; what it writes is checked here, outside of that environment.
"""

import ast
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from kit import blocked, notebook, predict, submission
from kit.competition import Competition
from kit.errors import KitError
from kit.fitting import Says
from kit.fresh import Done, Environment
from kit.hidden import CASES, CannotBeMade, Hidden
from kit.needs import providers, requirements
from kit.predictions import Predictions
from kit.reading import read
from kit.runs import Run

CLOSE = 1e-6  # between the run's predictions and the bundle's, relative to those above 1
LIMITS = {"9 h, with a GPU": 9 * 3600, "90 min, on the CPU": 90 * 60}  # seconds that code competitions commonly give


@dataclass(frozen=True)
class Case:
    """
    name     of the variation
    rows     test rows in it
    seconds  of the whole notebook
    predict  seconds of `kit predict` alone
    apart    the largest difference to the run's own predictions; None where there are none to compare with
    failed   what was wrong, "" where nothing was
    left_out why there is no such variation, "" where there is
    """

    name: str
    rows: int = 0
    seconds: float = 0.0
    predict: float = 0.0
    apart: float | None = None
    failed: str = ""
    left_out: str = ""

    def line(self) -> str:
        told = f"{self.name:<14}{self.rows} row{'s' * (self.rows != 1)}  {self.seconds:.1f} s"
        if self.failed:
            return f"{told}  failed: {self.failed.splitlines()[0]}"
        return f"{told}  valid" + ("" if self.apart is None else f", {self.apart:.1g} apart from the run's predictions")


@dataclass(frozen=True)
class Rehearsal:
    """
    cases    one a variation
    kit      where kit was imported from, within the fresh environment
    network  how it was kept out
    reached  what was tried of the network all the same, in words
    used     distributions that kit's own modules and the competition's imported; empty where nothing ran
    start    seconds of a notebook with one row; a_row: seconds of each further one
    """

    cases: list[Case]
    kit: str
    network: str
    reached: list[str]
    used: list[str]
    start: float
    a_row: float

    @property
    def failed(self) -> list[str]:
        return [f"{case.name}: {case.failed}" for case in self.cases if case.failed]

    def seconds(self, rows: int) -> float:
        """For so many test rows."""
        return self.start + self.a_row * max(rows - 1, 0)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "ok": not self.failed}


def rehearse(bundle: Path, run: Run, competition: Competition, data: Path, says: Says, *, slug: str, without: Iterable[str] = (), cases: Iterable[str] = CASES) -> Rehearsal:
    """The bundle's notebook on each of these variations of the run's test files.

    data     whose test files the run has predicted
    slug     the name of the folder that the data have where the notebook runs
    without  distributions that the bundle brings along, so that they are not lent from here
    Raises RunError where no fresh environment can be made.
    """
    with TemporaryDirectory(prefix="rehearsal-") as top:
        top = Path(top).resolve()
        says.progress("rehearsal: a fresh environment")
        environment = Environment.made(top / "environment", without)
        (top / "guard").mkdir()
        blocks = environment.is_blocked(top / "guard")
        hidden = Hidden(predict.adapter_of(run, competition, data, says), _schema(run))
        stage = _Stage(bundle, run, competition, environment, top, slug)
        done = []
        for name in cases:
            says.progress(f"rehearsal: {name}")
            done.append(stage.rehearsed(name, hidden))
        if not blocks:
            done.append(Case("network", failed="a process of the fresh environment reached for the network and was not refused"))
        return Rehearsal(done, stage.kit, environment.network(), sorted(stage.reached), sorted(stage.used), *_line(done))


def _line(cases: list[Case]) -> tuple[float, float]:
    """(seconds of a notebook with one row, seconds of each further row), by the medians of Theil and Sen, which a stalled case does not move.

    What comes before predicting, of which installing is the most, is that of the slowest: where it is sent, all is installed. Of few rows a
    difference is lost in the noise of timing: twice the median distance from the line is taken for time of the rows too.
    """
    good = [c for c in cases if c.rows and not c.failed]
    slopes = [(a.predict - b.predict) / (a.rows - b.rows) for n, a in enumerate(good) for b in good[:n] if a.rows != b.rows]
    a_row = max(float(np.median(slopes)), 0.0) if slopes else max((c.predict / c.rows for c in good), default=0.0)  # one count of rows tells no more
    alone = float(np.median([c.predict - a_row * (c.rows - 1) for c in good])) if good else 0.0
    noise = float(np.median([abs(c.predict - a_row * (c.rows - 1) - alone) for c in good])) if good else 0.0
    a_row += 2 * noise / max((c.rows for c in good), default=1)
    return round(max((c.seconds - c.predict for c in good), default=0.0) + max(alone, 0.0), 3), a_row


def contents(folder: Path) -> dict[str, int]:
    """Each file of a folder and its bytes."""
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _schema(run: Run) -> dict[str, Any]:
    return {name: column for member in predict.members(run) for name, column in predict.schema_of(member).items()}


class _Stage:
    """Where the notebook is run, and what was seen of its processes."""

    def __init__(self, bundle: Path, run: Run, competition: Competition, environment: Environment, top: Path, slug: str):
        self.bundle, self.run, self.competition, self.environment, self.top, self.slug = bundle, run, competition, environment, top, slug
        self.program = top / "notebook.py"
        self.program.write_text(notebook.script(bundle / "notebook.ipynb"), encoding="utf-8")
        self.kit, self.reached, self.used = "", set(), set()

    def rehearsed(self, name: str, hidden: Hidden) -> Case:
        room = self.top / name.replace(" ", "-")
        data = room / "input" / self.slug
        (room / "input").mkdir(parents=True)
        try:
            ids = hidden.write(name, data)
        except CannotBeMade as error:
            return Case(name, left_out=str(error))
        ids = list(Predictions.read(self.run.folder / "test.parquet").ids) if ids is None else ids
        (room / "input" / "bundle").symlink_to(self.bundle.resolve())
        for inside in ("working", "room", "notes"):
            (room / inside).mkdir()
        before = contents(self.bundle)
        done = self.environment.run(
            [str(self.program)], folder=room / "working", room=room / "room", notes=room / "notes", told={notebook.INPUT: str(room / "input")}
        )
        seconds, apart, failed = self._noted(room / "notes"), None, ""
        if done.code:
            failed = _told(done)
        elif not self.kit or Path(self.kit).is_absolute():
            failed = f"kit was imported from {self.kit or 'nowhere'}, and not from the fresh environment"
        elif contents(self.bundle) != before:
            failed = "the notebook wrote into the bundle, which is attached read-only where it is sent"
        else:
            try:
                _check(self.run, self.competition, data, room / "working" / "submission.csv", ids)
                if hidden.compares(name):
                    apart = _apart(self.run.folder / "test.parquet", next((room / "room").rglob("predict-*/test.parquet")))
            except KitError as error:
                failed = str(error)
        failed = failed or ("" if apart is None or apart <= CLOSE else f"predictions differ from the run's by {apart:.3g}: expected at most {CLOSE:g}")
        return Case(name, len(ids), round(done.seconds, 3), round(seconds, 3), apart, failed)

    def _noted(self, notes: Path) -> float:
        """Seconds of the process that predicted; what was imported and tried is kept."""
        self.reached |= {line for path in notes.glob(f"{blocked.NETWORK}*") for line in path.read_text(encoding="utf-8").splitlines()}
        told = [json.loads(path.read_text(encoding="utf-8")) for path in notes.glob(f"{blocked.LOADED}*")]
        for each in told:
            place = Path(each["kit"])
            self.kit = place.relative_to(self.environment.folder).as_posix() if place.is_relative_to(self.environment.folder) else str(place)
            self.used |= _used(each)
        return max((each["seconds"] for each in told), default=0.0)


def _used(loaded: dict[str, Any]) -> set[str]:
    """Distributions that the process imported, and that kit's own modules or the competition's name in their source.

    Of kit's only those that it asks for: what else it names comes along with them.
    """
    named, beside = set(), set()
    for name, file in loaded["modules"].items():
        tree = ast.parse(Path(file).read_text(encoding="utf-8")) if file else ast.Module([], [])
        imports = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imports |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        (beside if name.startswith("kit.own.") else named).update(imports)
        for node in tree.body:  # packages of weights are imported by their names
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_PACKAGED":
                beside |= {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
    there, asked = set(loaded["top"]) - {"kit"} - set(sys.stdlib_module_names), requirements()
    return {n for n in providers(named & there).values() if n in asked} | set(providers({b for b in beside if isinstance(b, str)} & there).values())


def _told(done: Done) -> str:
    """What a notebook ended with: the lines of kit's message, else the last that it printed."""
    lines = [line for line in done.out.splitlines() if line.strip() and not line.startswith("kit predict ended")]
    start = next((n for n, line in enumerate(lines) if line.startswith("kit: ")), None)
    if start is not None:
        return "\n".join(line.removeprefix("kit: ").strip() for line in lines[start : start + 4])
    return "\n".join([*lines[:-4:-1], f"the notebook ended with {done.code}"])  # of a traceback the last line says the most


def _check(run: Run, competition: Competition, data: Path, path: Path, ids: list[str]) -> None:
    """Raises KitError where the submission is not one for these rows: its columns, ids, numbers, and what its cells may hold."""
    adapter, metric = predict.adapter_of(run, competition, data, Says()), competition.metric()
    needs = metric.needs(adapter.task.gives)
    id_columns, columns = adapter.layout(needs)
    frame = read(path, text=id_columns)
    words = {c: frame[c].fillna("") for c in columns if c in frame and not pd.api.types.is_float_dtype(frame[c])}  # a blank may be an answer
    submission.check(frame.assign(**words), id_columns, columns, adapter.submission_ids(np.array(sorted(ids), dtype=object)), many=adapter.many_rows)
    adapter.read_submission(path, needs)


def _apart(ours: Path, theirs: Path) -> float:
    """The largest difference between two files of predictions, relative where numbers are above 1; infinite where ids, rows or words differ."""
    a, b = Predictions.read(ours), Predictions.read(theirs)
    if list(a.ids) != list(b.ids) or len(a.rows) != len(b.rows) or list(a.rows) != list(b.rows):
        return float("inf")
    numbers = [c for c in a.rows if pd.api.types.is_numeric_dtype(a.rows[c])]
    words = [c for c in a.rows if c not in numbers]
    if not a.rows[words].reset_index(drop=True).equals(b.rows[words].reset_index(drop=True)):
        return float("inf")
    x, y = (p.rows[numbers].to_numpy(dtype=np.float64) for p in (a, b))
    return float(np.max(np.abs(x - y) / np.maximum(np.abs(x), 1.0), initial=0.0))
