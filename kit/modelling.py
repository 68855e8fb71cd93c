"""A config's model, and what it is given: files that it reads, weights that it starts from, vectors that it searches among."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit import files, registry
from kit.competition import Competition
from kit.config import Training, part
from kit.encoders import Encoders, Examples, Gathering, gathered
from kit.errors import ConfigError
from kit.estimators import Setup
from kit.predictions import Predictions
from kit.registry import find, needed
from kit.shards import GALLERY, QUERIES
from kit.stores import CALLED
from kit.tables import Column
from kit.unlabelled import ENCODERS

WANTS_SEARCH = "the search of neighbours"


def gathering(competition: Competition, model: Any, progress: Callable[[str], None]) -> Gathering:
    """What is read of files for this model, and where it is kept."""
    told = [getattr(model, "takes", ()), competition.config.train["threads"], progress, getattr(model, "tokenizer", "")]
    return Gathering(competition.home / "cache", *told)


def gathered_with(gallery: pd.DataFrame | None, train: pd.DataFrame | None, test: pd.DataFrame, schema: dict[str, Column], options: dict[str, Any], how: Gathering) -> tuple:
    """(train, test, gallery, stores): `gathered`, with the gallery's rows behind the test rows."""
    if gallery is None:
        train, test, stores = gathered(train, test, schema, options, how)
        return train, test, None, stores
    train, both, stores = gathered(train, pd.concat([test, gallery]), schema, options, how)
    return train, both.iloc[: len(test)], both.iloc[len(test) :], stores


def begun_with(competition: Competition) -> list[Path]:
    """The files that a model, and frozen features for it, start from: a run from others is another run."""
    named = [options.get(key) for options in _begun(competition) for key in ("weights", "architecture", "features")]
    if competition.columns_from() is not None:
        named.append(str(competition.columns_from().parent / ENCODERS))
    return files.begun_from(*named)


def _begun(competition: Competition) -> list[dict[str, Any]]:
    """The options of all that may start from files: the model, the encoders within it, and those that make frozen features for it."""
    frozen = {kind: options for kind, options in competition.config.encoders.items() if options.get("features")}
    takes = competition.takes() if frozen else ()
    return [*_within(competition.config.model), *(options for kind, options in frozen.items() if kind not in takes)]


def _within(model: dict[str, Any]) -> list[dict[str, Any]]:
    return [model, *(options for options in model.values() if isinstance(options, dict))]


def seen_before(competition: Competition, learned: bool) -> list[str]:
    """What the weights that a model, and frozen features for it, start from have seen of the test rows.

    learned  what the model itself starts from is told elsewhere
    """
    found, told_of = [], _within(competition.config.model) if learned else []
    for weights in [options["weights"] for options in _begun(competition) if options not in told_of and isinstance(options.get("weights"), str)]:
        told = Path(weights).parent / "run.json"
        if told.is_file() and "pretrained" in (info := files.read_json(told)):
            what = next(f"{one}s" for one in (*CALLED.values(), "row") if f"{one}s" in info)
            found.append(f"{weights} was pretrained on {info[what]} {what} of train and test rows, without labels")
    return found


def model_of(competition: Competition, task: Any, progress: Callable[[str], None], checkpoints: Path | None = None) -> Any:
    config = competition.config
    loss, loss_options = part(config.train["loss"])
    setup = Setup(
        task=getattr(task, "learns_as", config.output["task"]),
        outputs=task.outputs,
        loss=loss,
        loss_options=loss_options,
        seed=config.train["seed"],
        threads=config.train["threads"],
        progress=progress,
        checkpoints=checkpoints,
        augment=config.augment,
    )
    kind, part_, options = competition.model()
    if kind == "estimators":
        model = part_(setup, **options)
    else:
        loop = {k: v for k, v in config.train.items() if k not in registry.options(Training)}
        if getattr(part_, "finds", False):
            model = needed("kit.estimators._detecting", f'model.name = "{config.model["name"]}"').Detecting(setup, part_, options, **loop)
        else:
            model = find("estimators", "neural")(setup, part_, options, **loop)
    embeds = getattr(model, "embeds", False)
    if searches(task) and not embeds:
        raise ConfigError(f'output.task = "{config.output["task"]}" searches among embeddings, and model "{config.model["name"]}" makes none\nname one that does: model.name=embedder, or knn')
    if is_open(task) and embeds:
        return needed("kit.voting", WANTS_SEARCH).Voting(model, search_of(competition), config.train["threads"])
    return model


def searches(task: Any) -> bool:
    """Whether the answers are rows of a gallery."""
    return getattr(task, "searches", False)


def search_of(competition: Competition) -> Any:
    return needed("kit.searching", WANTS_SEARCH).Search(**competition.config.search)


def is_open(task: Any) -> bool:
    """Whether a row may be of no class."""
    return getattr(task, "open_set", False)


def found_by(competition: Competition, task: Any, folders: list[Path]) -> Predictions:
    """What the queries find in the gallery by the vectors in these folders."""
    return needed("kit.retrieving", WANTS_SEARCH).searched(search_of(competition), task, folders)


def write_vectors(folder: Path, queries: pd.DataFrame, gallery: pd.DataFrame, encoders: Encoders, model: Any) -> None:
    for name, rows in ((QUERIES, queries), (GALLERY, gallery)):
        needed("kit.retrieving", WANTS_SEARCH).write(folder / name, rows, embedding(encoders, model))


def embedding(encoders: Encoders, model: Any) -> Callable[[pd.DataFrame], np.ndarray]:
    return lambda rows: model.embed(Examples(rows.index.to_numpy(dtype=object), encoders.transform(rows)))
