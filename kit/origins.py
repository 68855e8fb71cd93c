"""Which data files a run was made of, found again by their fingerprint."""

from collections.abc import Callable
from pathlib import Path

from kit import files, runs
from kit.competition import Competition
from kit.errors import KitError
from kit.fitting import Says
from kit.modelling import begun_with
from kit.predict import adapter_of, competition_of
from kit.pseudo import files_of, source_of
from kit.runs import Run


def folders(run: Run, competition: Competition) -> list[Path]:
    """Where data of a competition may lie."""
    beside = run.folder.resolve().parent.parent
    found = [home / name for home in (competition.home, beside) for name in ("data", "sample")]
    if told := competition.config.input.get("data"):
        found.insert(0, Path(told).expanduser())
    there = {f.resolve(): f for f in reversed([*found, competition.folder / "data"]) if f.is_dir() and any(f.iterdir())}
    return list(reversed(there.values()))


def first_of(tried: list[Path], holds: Callable[[Path], bool], reasons: list[str]) -> Path | None:
    """The first folder of which it is true; why none is goes to the reasons."""
    for folder in tried:
        try:
            if holds(folder):
                return folder
            reasons.append(f"the files in {folder} are not those that it was made of")
        except KitError as error:
            reasons.append(str(error).split("\n")[0])
    return None


def tested_hash(run: Run, competition: Competition, data: Path) -> str:
    return files.fingerprint(adapter_of(run, competition, data, Says()).test_files())


def learned_from(run: Run, data: Path) -> bool:
    """Whether the files in a folder are those that a run, or all runs of a blend, learned from."""
    if blended := run.info.get("blended"):
        return all(learned_from(runs.open_run(run.folder.parent / name), data) for name in blended["runs"])
    competition = competition_of(run)
    return files.fingerprint([*competition.open_adapter(data).files(), *begun_with(competition), *files_of(source_of(competition))]) == run.info["data"]
