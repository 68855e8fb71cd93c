"""A finished run's report written anew, with the data that it was made of where they are found."""

from pathlib import Path

from kit import reporting
from kit.choosing import first_folds
from kit.competition import Competition
from kit.divided import folded_truth
from kit.errors import RunError
from kit.fitting import Says
from kit.origins import first_of, folders, learned_from
from kit.predict import competition_of
from kit.runs import Run


def report(run: Run, data: Path | None, says: Says) -> Path:
    """The path of report.html in the run's folder.

    data  the folder of the data files; None to look where the competition keeps them. Without the files that the run was made of the report
          lacks what needs them, and says so
    Raises RunError where the run is unfinished, or where the page cannot be written; KitError where a folder was named that holds other files.
    """
    if run.info.get("state") != "finished":
        raise RunError(f"{run.folder} is not finished\ngive its training command again: it goes on where it stopped")
    competition = competition_of(run)
    reasons: list[str] = []
    found = first_of([data] if data is not None else folders(run, competition), lambda folder: learned_from(run, folder), reasons)
    if found is None and data is not None:
        raise RunError(f"--data {data}: {'; '.join(reasons)}\nname the folder of the files that {run.name} was made of, or none: the report then lacks what needs them")
    if found is None:
        says.progress(f"warning {reporting.NAME} lacks errors and examples: {'; '.join(reasons) or 'there are no data'}")
    path = reporting.write(run, competition, None if found is None else _data(run, competition, found), says.progress)
    if path is None:
        raise RunError(f"{run.folder} has no new {reporting.NAME}")
    return path


def _data(run: Run, competition: Competition, folder: Path) -> reporting.Data:
    adapter = competition.open_adapter(folder)
    tables = adapter.tables()
    task, ids = adapter.task, tables.train.index.to_numpy(dtype=object)
    truth = None if tables.truth is None or run.info["score"] == reporting.UNSCORED else folded_truth(competition, tables, task, first_folds([run], ids))
    return reporting.Data(task, competition.metric(), tables, truth)
