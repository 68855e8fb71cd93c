"""Learns from a competition's rows without their labels: a folder with weights that `model.weights` of a later run can start from.

Training and test rows are looked at, never a label: the runs that start from such weights record it as an exception. Pictures
teach the network that is named, tables one of their own whose columns any model takes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import files, runs
from kit.competition import Competition, resolved
from kit.config import Config
from kit.encoders import Encoders, Examples, gathered
from kit.errors import DataError, shorten
from kit.fitting import Says
from kit.modelling import begun_with, gathering, model_of
from kit.registry import needed
from kit.runs import Run
from kit.stores import CALLED
from kit.tables import Tables
from kit.unlabelled import ENCODERS, KINDS, WEIGHTS

_FEW = 3  # rows of a category, below which a column on the average tells rows apart, not kinds of rows


@dataclass(frozen=True)
class _Work:
    """What both methods need."""

    competition: Competition
    task: Any
    tables: Tables
    given: dict[str, Any]
    run: Run
    says: Says

    def progress(self, line: str) -> None:
        self.run.log(line)
        self.says.progress(line)

    def result(self, line: str) -> None:
        self.run.log(line)
        self.says.result(line)


def pretrain(competition: Competition, data: Path, says: Says) -> Path:
    """The path of the weights. Goes on where the same command stopped, epoch by epoch.

    Raises ConfigError for a method that the model has no use for, DataError where there is nothing to learn from.
    """
    method, given = competition.pretraining()
    competition = replace(competition, config=replace(resolved(competition), pretrain={"method": method, **given}))
    adapter = competition.open_adapter(data)
    if method != "denoising":
        learn, asked, started_from = _from_media, competition.config, begun_with(competition)
        model_of(competition, adapter.task, says.progress)  # refuses what it does not know before any data is read
    else:
        learn, asked, started_from = _denoised, _of_no_model(competition.config), []
        needed("kit.zoo._denoising", f'pretrain.method = "{method}"')
    tables = adapter.tables()
    with runs.started(competition.home / "pretrained", asked, files.fingerprint([*adapter.files(), *started_from])) as run:
        found = learn(_Work(competition, adapter.task, tables, given, run, says))
        run.save(state="finished", competition=competition.name, folder=str(competition.folder), pretrained=method, **found)
        for left in (run.folder / "checkpoints").glob("*"):  # not before: a kill in between would have all epochs trained again
            left.unlink()
    return run.folder / WEIGHTS


def _of_no_model(config: Config) -> Config:
    """The config of a method that is the same whatever the model: its folder is named after the method."""
    kept = {k: config.train[k] for k in ("seed", "threads")}
    return replace(config, model={"name": config.pretrain["method"]}, train=kept, score={}, augment={}, post={})


def _from_media(work: _Work) -> dict[str, Any]:
    config, tables = work.competition.config, work.tables
    model = model_of(work.competition, work.task, work.progress, work.run.folder / "checkpoints")
    how = gathering(work.competition, model, work.progress)
    others = tables.test if tables.gallery is None or tables.truth is None else pd.concat([tables.test, tables.gallery])  # without labels, train is the gallery
    train, test, stores = gathered(tables.train, others, tables.schema, config.encoders, how)
    (kind,) = model.takes
    told = f"{CALLED[kind]}s"
    if not tables.of_kind(kind):
        raise DataError(
            f'the rows have no column of {told}, which model "{config.model["name"]}" learns from\n'
            f"name one: input.columns.{kind} = [...]; for what is in a table: pretrain.method=denoising"
        )
    everyone = pd.concat([train, test])
    encoders = Encoders(tables.schema, config.encoders, config.train["seed"], stores=stores)
    features = encoders.fit_transform(everyone, np.zeros((len(everyone), 0)))
    there = next(block.there for block in features.media.values() if block.kind == kind)
    examples = Examples(everyone.index.to_numpy(dtype=object), features).take(there)
    if len(examples) < 2:
        raise DataError(f"fewer than two {told} can be read: there is nothing to learn from")
    searched = f", {len(tables.gallery)} of the gallery" if len(others) > len(tables.test) else ""
    work.result(f"data    {len(examples)} {told} of {len(tables.train)} train and {len(tables.test)} test rows{searched}, without labels")
    work.result(f"method  {config.pretrain['method']}, {config.model['name']}")
    network, losses = model.pretrain(examples, method=config.pretrain["method"], **work.given)
    encoders.save(work.run.folder / ENCODERS)  # a tokenizer that was learned goes with the weights
    from safetensors.torch import save_file  # needs torch, which the model brought

    with files.whole(work.run.folder / WEIGHTS) as temporary:
        save_file({f"network.{k}": v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, temporary)
    return {told: len(examples), "losses": losses}


def _denoised(work: _Work) -> dict[str, Any]:
    config, tables, folder = work.competition.config, work.tables, work.run.folder
    everyone = pd.concat([tables.train, tables.test])
    schema = {name: column for name, column in tables.schema.items() if column.kind in KINDS}
    if telling := [n for n, c in schema.items() if c.kind == "category" and everyone[n].nunique() * _FEW > len(everyone)]:
        work.progress(f"note    nearly a category a row, so left out: {shorten(telling)}")
    schema = {name: column for name, column in schema.items() if name not in telling}
    options = {kind: _without(telling, given) for kind, given in config.encoders.items() if kind in KINDS}
    encoders = Encoders(schema, options, config.train["seed"])
    features = encoders.fit_transform(everyone, np.zeros((len(everyone), 0))) if schema else None
    if features is None or not (features.dense.shape[1] + features.codes.shape[1]):
        raise DataError(
            f"the tables have no column to learn from: {shorten(KINDS)} are looked at\n"
            "for pictures name a model that looks at them: model.name=timm"
        )
    work.result(f"data    {len(everyone)} rows, {len(tables.train)} train and {len(tables.test)} test, without labels")
    looked_at = f"{features.dense.shape[1]} numeric and {features.codes.shape[1]} category columns"
    work.result(f"method  denoising, {looked_at} into {work.given['width_out']}")
    learning: Callable = needed("kit.zoo._denoising", 'pretrain.method = "denoising"').denoised
    told = {"seed": config.train["seed"], "threads": config.train["threads"]}
    learned, losses = learning(features, everyone.index.to_numpy(dtype=object), folder / "checkpoints", work.progress, **told, **work.given)
    encoders.save(folder / ENCODERS)
    learned.save(folder / WEIGHTS)
    return {"rows": len(everyone), "losses": losses}


def _without(columns: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """An encoder's options, naming these columns no more."""
    return {k: [c for c in v if c not in columns] if isinstance(v, list) else v for k, v in options.items()}
