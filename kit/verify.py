"""A submission rebuilt from its run and compared, so that a file can be trusted months later.

What a run holds is looked at in the order in which it was made: its files, its data, its models' predictions, its score, and the submission that comes
of them. What cannot be looked at is said, with what it would take: silence would pass for trust.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from kit import files, folds_csv, runs
from kit.adapters._submissions import Submissions
from kit.choosing import MIXED, first_folds, shared_folds
from kit.combining import combined
from kit.competition import Competition
from kit.divided import folded_truth
from kit.errors import KitError, RunError, shorten
from kit.fitting import Says, by_repeat
from kit.origins import first_of, folders, learned_from, tested_hash
from kit.pipeline import UNSCORED, write_submission
from kit.predict import adapter_of, competition_of, predict
from kit.predictions import Predictions
from kit.runs import Run
from kit.scoring import pooled, score_folds
from kit.unlike import apart, near, unlike

OK, NOTE, DIFFERS, NOT_DONE = "ok", "note", "differs", "not done"
_TEST, _SUBMISSION = "test.parquet", "submission.csv"


@dataclass(frozen=True)
class Finding:
    """
    what   was looked at
    state  "ok", "note", "differs" or "not done"
    why    with what was seen
    """

    what: str
    state: str
    why: str

    def __str__(self) -> str:
        return f"{self.what:<10}{self.state:<10}{self.why}"


def verify(path: Path, data: Path | None, says: Says, *, competition: str = "") -> list[Finding]:
    """
    path         a submission.csv in a run folder or in what was predicted later, such a folder, or any copy of one
    data         the folder of the data files, None to look where the competition keeps them
    competition  among whose runs a copy is looked for; "" is all competitions of the current folder
    Raises RunError for a file that is in no run and that no run has recorded, and for a run that is not finished.
    """
    path, run, folder = located(Path(path), competition)
    if run.info.get("state") != "finished":
        raise RunError(f"{run.folder} is not finished: it has no submission to trust\ngive its training command again: it goes on where it stopped")
    return list(_Look(run, path, folder, data, says).all())


def located(path: Path, competition: str) -> tuple[Path, Run, Path]:
    """(the submission, its run, the run's folder or one predict-* in it)."""
    path = path / _SUBMISSION if path.is_dir() else path
    if not path.is_file():
        raise RunError(f"no file {path}\nexpected a submission: RUN/submission.csv, RUN/predict-*/submission.csv, or a copy of one")
    folder = path.parent
    if (folder / "run.json").is_file():
        return path, runs.open_run(folder), folder
    if folder.name.startswith("predict-") and (folder.parent / "run.json").is_file():
        return path, runs.open_run(folder.parent), folder
    digest, looked = files.digest(path), Path("competitions")
    for home in sorted(looked.glob("*/runs")):
        if competition in ("", home.parent.name, str(home.parent)):
            for run in runs.listed(home):
                if name := _recorded_as(run, digest):
                    return path, run, run.folder / name if name != _SUBMISSION else run.folder
    where = f"of {competition}" if competition else f"in {looked}/*/runs"
    raise RunError(f"{path} is in no run folder, and no run {where} has recorded a file of its bytes\nwas it edited, or saved by another program? compare it with a run's: kit diff {path} RUN")


def _recorded_as(run: Run, digest: str) -> str:
    """ "submission.csv", or the folder predict-*, by which a run knows a file; "" for one that it does not."""
    if run.info.get("held", {}).get(_SUBMISSION) == digest:
        return _SUBMISSION
    return next((f"predict-{name}" for name, its in run.info.get("predicted", {}).items() if its == digest), "")


@dataclass
class _Look:
    """
    path    the submission
    folder  whose test.parquet it is made of: the run's, or a predict-* in it
    asked   the folder of data that was named
    whole   whether the run's files are what they were
    """

    run: Run
    path: Path
    folder: Path
    asked: Path | None
    says: Says
    whole: bool = True
    data: Path | None = None  # the folder whose files are those that were predicted
    learned: Path | None = None  # the folder whose files are those that were learned from

    @property
    def later(self) -> bool:
        return self.folder != self.run.folder

    def all(self) -> Iterator[Finding]:
        competition = competition_of(self.run)
        yield self.recorded()
        yield self.files()
        yield self.folds()
        yield self.versions()
        yield self.fingerprint(competition)
        for name in self.run.info.get("blended", {}).get("runs", []):
            yield from self.member(name)
        if "blended" in self.run.info:
            yield _done("blended", lambda: self.blended(competition))
        yield _done("rebuilt", lambda: self.rebuilt(competition))
        yield _done("predicted", self.predicted)
        yield _done("score", lambda: self.score(competition))

    # --- what lies in the folder -------------------------------------------------------------------------------------------------

    def recorded(self) -> Finding:
        info = self.run.info
        known = info.get("predicted", {}).get(self.folder.name.removeprefix("predict-")) if self.later else info.get("held", {}).get(_SUBMISSION)
        found = files.digest(self.path)
        if known is None:
            return Finding("recorded", NOT_DONE, "run.json holds no hash of it: the run is older than this check")
        if known == found:
            return Finding("recorded", OK, f"SHA-256 {found[:12]}, as {self.run.name} has recorded it")
        others = [f"{r.name}'s {told}" for r in runs.listed(self.run.folder.parent) if (told := _recorded_as(r, found))]
        return Finding("recorded", DIFFERS, f"SHA-256 {found[:12]}, and run.json says {known[:12]}" + (f": it is {shorten(others)}" if others else ""))

    def files(self) -> Finding:
        if "held" not in self.run.info:
            return Finding("files", NOT_DONE, "run.json holds no hashes of its files: the run is older than this check")
        then, now = ({n: h for n, h in held.items() if n != _SUBMISSION} for held in (self.run.info["held"], self.run.held()))
        told = {"missing": then.keys() - now.keys(), "changed": {n for n in then.keys() & now.keys() if then[n] != now[n]}}
        wrong = [f"{len(names)} {word}: {shorten(sorted(names))}" for word, names in told.items() if names]
        self.whole = not wrong
        return Finding("files", DIFFERS if wrong else OK, "; ".join(wrong) or f"{len(then)} as they were")

    def folds(self) -> Finding:
        known = self.run.info["folds"]
        if known in (UNSCORED, MIXED):
            return Finding("folds", NOT_DONE, "there are no labels, and so no folds" if known == UNSCORED else "the runs of this blend have folds of their own")
        path = self.run.folder / "folds.csv"
        try:
            found = folds_csv.fingerprint(ids := folds_csv.ids(path), folds_csv.read(path, ids))
        except KitError as error:
            return Finding("folds", DIFFERS, _first(error))
        return Finding("folds", *((OK, f"hash {known}, of {len(ids)} rows") if found == known else (DIFFERS, f"folds.csv has hash {found}, and run.json says {known}")))

    def versions(self) -> Finding:
        then, now = self.run.info.get("versions", {}), runs.versions()
        moved = [f"{name} {version} then, {now.get(name, 'none')} now" for name, version in then.items() if now.get(name) != version]
        return Finding("versions", NOTE if moved else OK, shorten(moved, 10) if moved else "those of the run")

    # --- data --------------------------------------------------------------------------------------------------------------------

    def fingerprint(self, competition: Competition) -> Finding:
        tried = [self.asked] if self.asked is not None else folders(self.run, competition)
        if not tried:
            return Finding("data", NOT_DONE, f"there are no data of {competition.name}: --data DIR says where they lie")
        reasons: list[str] = []
        self.learned = first_of(tried, lambda folder: learned_from(self.run, folder), reasons)
        self.data = self.learned
        if self.later:
            reasons.clear()
            self.data = first_of(tried, lambda folder: f"predict-{tested_hash(self.run, competition, folder)}" == self.folder.name, reasons)
        if self.data is None:
            return Finding("data", DIFFERS, "; ".join(reasons))
        return Finding("data", OK, f"the files in {self.data}")

    # --- what they give ----------------------------------------------------------------------------------------------------------

    def member(self, name: str) -> Iterator[Finding]:
        """A run that a blend is made of: its files and its folds, since its models are asked again with the blend's."""
        try:
            look = _Look(member := runs.open_run(self.run.folder.parent / name), self.path, self.run.folder.parent / name, self.asked, self.says)
            found = [look.files(), look.folds()]
            for below in member.info.get("blended", {}).get("runs", []):
                found += look.member(below)
        except RunError as error:
            found = [Finding("run", DIFFERS, _first(error))]
        self.whole &= all(f.state != DIFFERS for f in found)
        yield from (replace(f, why=f"{name}: {f.why}") for f in found)

    def blended(self, competition: Competition) -> tuple[str, str]:
        """The predictions of the runs, added up again."""
        task = competition.task()
        task.restore(self.run.info["task"])
        home, told = self.run.folder.parent, self.run.info["blended"]
        parts = [Predictions.read(home / name / _TEST) for name in told["runs"]]
        same, why = apart(Predictions.read(self.run.folder / _TEST), combined(task, told, parts, home))
        return OK if same else DIFFERS, f"{why}, of {len(parts)} runs"

    def rebuilt(self, competition: Competition) -> tuple[str, str]:
        """The submission of test.parquet and post-processing, byte for byte."""
        if self.data is not None:
            adapter, order = adapter_of(self.run, competition, self.data, Says()), ""
        else:  # the file itself says which rows it has, in which order
            adapter, order = adapter_of(self.run, competition, self.path.parent, Says()), ", in its own order of rows: there are no data to say which"
            if type(adapter).submission is not Submissions.submission:
                return NOT_DONE, "its rows are made from the data files: --data DIR says where they lie"
            adapter.follow(*self.run.info["layout"])
            adapter.sample_file = str(self.path.absolute())
        with TemporaryDirectory() as room:
            made = Path(room) / _SUBMISSION
            try:
                write_submission(adapter, adapter.task, competition.metric(), Predictions.read(self.folder / _TEST), self.run.info["post"], made)
            except KitError as error:
                return DIFFERS, _first(error)
            if made.read_bytes() == self.path.read_bytes():
                return OK, f"byte for byte from {_TEST}{order}"
            return DIFFERS, unlike(self.path, made)

    def predicted(self) -> tuple[str, str]:
        """The models' predictions once more, in a temporary folder."""
        if self.data is None:
            return NOT_DONE, "the data that it was made of are not there"
        if not self.whole:
            return NOT_DONE, "files of the run are not what they were"
        with TemporaryDirectory() as room:
            again = _beside(self.run, Path(room))
            path = predict(again, self.data, Says(progress=self.says.progress))
            same, why = apart(Predictions.read(self.folder / _TEST), Predictions.read(path.parent / _TEST))
            return OK if same else DIFFERS, why

    def score(self, competition: Competition) -> tuple[str, str]:
        """The out-of-fold score, of oof.parquet and of the answers in the data."""
        known = self.run.info["score"]
        if known == UNSCORED:
            return NOT_DONE, "the run is unscored: there are no labels"
        if self.learned is None:
            return NOT_DONE, "the training data that it is about are not there"
        adapter, metric = competition.open_adapter(self.learned), competition.metric()
        tables = adapter.tables()
        task, ids = adapter.task, tables.train.index.to_numpy(dtype=object)
        blended, oof = self.run.info.get("blended"), Predictions.read(self.run.folder / "oof.parquet")
        if blended:
            members = [runs.open_run(self.run.folder.parent / name) for name in blended["runs"]]
            split = shared_folds(members, ids) or first_folds(members, ids)
            wanted = [fold for fold in split if fold.repeat == 0]
            parts = [p for p in (oof.take(ids[fold.valid]) for fold in wanted) if len(p.ids)]
            parts = [parts if sum(len(p.ids) for p in parts) == len(oof.ids) else [oof]]
        else:
            split = folds_csv.read(self.run.folder / "folds.csv", ids)
            numbers = [competition.config.train["fold"]] if competition.config.train["fold"] >= 0 else range(len(split))
            wanted = [split[k] for k in numbers]
            parts = by_repeat(wanted, [Predictions.read(self.run.folder / f"fold-{k}" / "oof.parquet") for k in numbers])
            same, why = apart(oof, pooled(task, parts))
            if not same:
                return DIFFERS, f"oof.parquet is not what its folds predicted: {why}"
        truth = folded_truth(competition, tables, task, split)
        found, post = score_folds(metric, task, truth, parts, competition.config.post)
        honest = bool(blended) and blended["method"] != "mean" and bool(post)  # its parts had weights, and thus post-processing, of their own
        if not near(self.run.info["post"], post):
            return DIFFERS, f"post-processing of oof.parquet is {shorten(f'{k} {v}' for k, v in post.items())}; run.json says {shorten(f'{k} {v}' for k, v in self.run.info['post'].items())}"
        if not near(known["pooled"], found.pooled) or not (honest or near(known["folds"], found.folds)):
            return DIFFERS, f"{metric.name} {found.mean:.6g} of oof.parquet, {found.pooled:.6g} of all folds at once; run.json says {known['mean']:.6g} and {known['pooled']:.6g}"
        return OK, f"{metric.name} {known['pooled' if honest else 'mean']:.6g} out of fold" + (", of all folds at once" if honest else f", of {len(found.folds)} folds")


def _done(what: str, look: Callable[[], tuple[str, str]]) -> Finding:
    """What was found, or why it could not be looked at."""
    try:
        return Finding(what, *look())
    except (KitError, FileNotFoundError) as error:
        return Finding(what, NOT_DONE, _first(error))


def _first(error: Exception) -> str:
    return str(error).split("\n")[0]


def _beside(run: Run, room: Path) -> Run:
    """The run in another folder, by links to what it and its neighbours hold: what is predicted there leaves the run as it is."""
    for neighbour in run.folder.resolve().parent.iterdir():
        if neighbour.name != run.name:
            (room / neighbour.name).symlink_to(neighbour)
    (room / run.name).mkdir()
    for own in run.folder.resolve().iterdir():
        (room / run.name / own.name).symlink_to(own)
    home = run.folder.resolve().parent.parent
    return Run(room / run.name, run.info | ({"folder": str(home)} if (home / "config.toml").is_file() else {}))
