"""After training: a run's models on new test files, and a submission's score against answers."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kit import files, runs
from kit.adapters.tabular import Tabular
from kit.combining import combined
from kit.competition import Competition, checked, locate
from kit.config import read
from kit.encoders import Encoders, Examples
from kit.errors import DataError, RunError, SubmissionError, shorten
from kit.fitting import BALANCE, Says, decoded, is_exact, weights_of
from kit.modelling import found_by, gathered_with, gathering, model_of, searches, write_vectors
from kit.pipeline import UNLABELLED, write_submission
from kit.predictions import Predictions
from kit.reading import locate as packed
from kit.runs import Run
from kit.scoring import Metric
from kit.shards import QUERIES
from kit.tables import Column
from kit.unlabelled import WEIGHTS, Learned


def competition_of(run: Run) -> Competition:
    """The competition that a run belongs to, with the run's own config."""
    beside = run.folder.resolve().parent.parent
    known = (beside, Path(run.info.get("folder", beside)))
    folder = next((f for f in known if (f / "config.toml").is_file()), None) or locate(run.info["competition"])
    config, data = read(run.folder / "config.toml"), read(folder / "config.toml").input.get("data")
    if "blended" in run.info:  # no model of its own: the simplest stands in its place
        config = replace(config, model={"name": "constant"}, train={})
    return checked(config.with_("input", data=data) if data else config, folder, stand_in="blended" in run.info)  # where data lie is no part of a run


def predict(run: Run, data: Path, says: Says, *, tolerant: bool = False) -> Path:
    """The run's models on new test files, into RUN/predict-<fingerprint of the files>/. Gives the submission's path.

    A blend predicts with the runs that it is made of.

    tolerant  whether cells that should be numbers or dates and are none count as missing, with a warning, instead of ending it
    """
    if run.info.get("state") != "finished":
        raise RunError(f"{run.folder} is not finished\ngive its training command again: it goes on where it stopped")
    adapter, metric, tested, models = _tested(run, data, says, tolerant)
    name = files.fingerprint(adapter.test_files())
    folder = run.folder / f"predict-{name}"
    tested.write(folder / "test.parquet")
    write_submission(adapter, adapter.task, metric, tested, run.info["post"], folder / "submission.csv")
    run.save(predicted={**run.info.get("predicted", {}), name: files.digest(folder / "submission.csv")})
    says.result(f"data    {len(tested.ids)} test rows")
    says.result(f"model   {models} of {run.name}")
    return folder / "submission.csv"


def adapter_of(run: Run, competition: Competition, data: Path, says: Says) -> Tabular:
    """The adapter on new files, which knows the run's classes, and its layout of a submission where there is no sample."""
    adapter, task = competition.open_adapter(data), competition.task()
    task.restore(run.info["task"])
    adapter.task = task
    if adapter.sample_file and not _is_there(data / adapter.sample_file):
        says.progress(f"note    no {adapter.sample_file} in {data}: rows in the order of {adapter.test_file}")
        adapter.follow(*run.info["layout"])
    return adapter


def members(run: Run) -> list[Run]:
    """The runs whose models predict: the run itself, or those that a blend is made of."""
    if "blended" not in run.info:
        return [run]
    return [each for name in run.info["blended"]["runs"] for each in members(runs.open_run(run.folder.parent / name))]


def schema_of(run: Run) -> dict[str, Column]:
    """The kinds of the columns that a run's models were fitted on."""
    return {name: Column(*c) for name, c in run.info["schema"].items()}


def _tested(run: Run, data: Path, says: Says, tolerant: bool) -> tuple[Tabular, Metric, Predictions, int]:
    """(adapter, metric, predictions for the new rows, models that made them)."""
    competition = competition_of(run)
    adapter, metric = adapter_of(run, competition, data, says), competition.metric()
    task, adapter.tolerant = adapter.task, tolerant
    if blended := run.info.get("blended"):
        quiet = Says(progress=says.progress) if tolerant else Says()
        members = [_tested(runs.open_run(run.folder.parent / name), data, quiet, tolerant) for name in blended["runs"]]
        return adapter, metric, combined(task, blended, [m[2] for m in members], run.folder.parent), sum(m[3] for m in members)
    schema = schema_of(run)
    how = gathering(competition, model_of(competition, task, says.progress), says.progress)
    gallery = adapter.new_gallery(schema) if searches(task) else None
    _, rows, gallery, stores = gathered_with(gallery, None, adapter.new_rows(schema), schema, competition.config.encoders, how)
    for note in adapter.notes if tolerant else ():
        says.progress(f"warning {note}")
    if (run.folder / UNLABELLED).is_dir():
        learned, threads = Learned.open(run.folder / UNLABELLED / WEIGHTS), competition.config.train["threads"]
        rows, gallery = (None if side is None else learned.beside(side, threads) for side in (rows, gallery))
    ids = rows.index.to_numpy(dtype=object)
    folders = with_models(run, gallery is not None)
    models = (_model(competition, task, folder, stores, says) for folder in folders)
    if gallery is None:
        made = [decoded(task, model, Examples(ids, encoders.transform(rows))) for encoders, model in models]
        if is_exact(competition):  # as the run's own test rows made it: any others may be few
            made = [task.times(each, files.read_json(folder / BALANCE)) for folder, each in zip(folders, made)]
        tested = task.average(made, weights_of(task, metric, folders))
        return adapter, metric, tested, len(folders)
    with TemporaryDirectory(prefix="vectors-", dir=run.folder) as room:
        made = [Path(room) / folder.name for folder in folders]
        for folder, (encoders, model) in zip(made, models):
            write_vectors(folder, rows, gallery, encoders, model)
        return adapter, metric, found_by(competition, task, made), len(folders)


def with_models(run: Run, searched: bool) -> list[Path]:
    """The folders of the models that predict test rows; of a run with train.final = "last" one fold's. Raises RunError where there is none."""
    folders = [run.folder / "refit"] if (run.folder / "refit").is_dir() else sorted(run.folder.glob("fold-*"), key=lambda p: int(p.name[5:]))
    found = [folder for folder in folders if (folder / (QUERIES if searched else "test.parquet")).exists()]
    if not found:
        raise RunError(f"{run.folder} holds no model: was something removed from it?")
    return found


def _model(competition: Competition, task: Any, folder: Path, stores: dict[str, Any], says: Says) -> tuple[Encoders, Any]:
    model = model_of(competition, task, says.progress)
    model.load(folder)
    return Encoders.load(folder / "encoders.json", stores), model


def _is_there(path: Path) -> bool:
    """As it is, or packed as Kaggle packs it."""
    try:
        return packed(path).is_file()
    except DataError:
        return False


def grade(competition: Competition, submitted: Path, answers: Path, data: Path | None, says: Says = Says()) -> float:
    """The submission's score by the competition's own metric and reading of blanks.

    data  where the training file is, for the classes; without one they are those of the answers
    """
    for path in (submitted, answers):
        if not path.is_file():
            raise SubmissionError(f"no file {path}")
    metric = competition.metric()
    adapter = competition.open_adapter(data if data is not None else answers.parent)
    needs = metric.needs(adapter.task.gives)
    truth = adapter.answers(answers, competition.config.score.get("weight", ""))
    for note in adapter.notes:
        says.progress(f"note    {note}")
    if not searches(adapter.task):  # ids of a gallery need no classes
        adapter.task.learn(adapter.truth(adapter.read_train(), adapter.train_file) if data is not None else truth)
    predictions = adapter.read_submission(submitted, needs)
    lacking = sorted(set(truth["id"]) - set(predictions.ids))
    if lacking:
        raise SubmissionError(f"{submitted} lacks {len(lacking)} ids that {answers} has: {shorten(lacking)}")
    return metric.score(adapter.task, truth, predictions, {})
