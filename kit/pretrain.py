"""Learns from a competition's rows without their labels: a folder with weights that `model.weights` of a later run can start from.

Training and test rows are looked at, never a label: the runs that start from such weights record it as an exception.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import files, runs
from kit.competition import Competition, resolved
from kit.config import Pretraining
from kit.encoders import Encoders, Examples, Gathering, gathered
from kit.errors import ConfigError, DataError
from kit.pipeline import Says, model_of
from kit.registry import filled
from kit.runs import Run

WEIGHTS = "weights.safetensors"


def pretrain(competition: Competition, data: Path, says: Says) -> Path:
    """The path of the weights. Goes on where the same command stopped, epoch by epoch.

    Raises ConfigError for a model that has nothing to learn without labels.
    """
    given = filled(Pretraining, competition.config.pretrain)
    config = replace(resolved(competition), pretrain=given)
    competition = replace(competition, config=config)
    adapter = competition.open_adapter(data)
    from safetensors.torch import save_file  # needs torch, which the model brings

    model = model_of(competition, adapter.task, says.progress)
    if "image" not in getattr(model, "takes", ()):
        raise ConfigError(f'model "{config.model["name"]}" does not look at pictures: there is nothing that it could learn without labels\nname one that does: model.name=timm')
    tables = adapter.tables()
    with runs.started(competition.home / "pretrained", config, files.fingerprint(adapter.files())) as run:
        progress = _both(run, says.progress)
        how = Gathering(competition.home / "cache", model.takes, config.train["threads"], progress)
        train, test, stores = gathered(tables.train, tables.test, tables.schema, config.encoders, how)
        everyone = pd.concat([train, test]).drop_duplicates(list(stores))
        encoders = Encoders(tables.schema, config.encoders, config.train["seed"], stores=stores)
        features = encoders.fit_transform(everyone, np.zeros((len(everyone), 0)))
        examples = Examples(everyone.index.to_numpy(dtype=object), features).take(next(iter(features.pictures.values())).there)
        if len(examples) < 2:
            raise DataError("fewer than two pictures can be read: there is nothing to tell apart")
        told = [f"data    {len(examples)} pictures of {len(tables.train)} train and {len(tables.test)} test rows, without labels"]
        told += [f"method  {given['method']}, {config.model['name']}"]
        for line in told:
            run.log(line)
            says.result(line)
        model = model_of(competition, adapter.task, progress, run.folder / "checkpoints")
        network, losses = model.pretrain(examples, **given)
        with files.whole(run.folder / WEIGHTS) as temporary:
            save_file({f"network.{k}": v.detach().cpu().contiguous() for k, v in network.state_dict().items()}, temporary)
        for left in (run.folder / "checkpoints").glob("*"):
            left.unlink()
        run.save(state="finished", competition=competition.name, folder=str(competition.folder), pretrained=given["method"], pictures=len(examples), losses=losses)
    return run.folder / WEIGHTS


def _both(run: Run, progress: Any) -> Any:
    def said(line: str) -> None:
        run.log(line)
        progress(line)

    return said
