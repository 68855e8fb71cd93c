"""config.toml, a preset and KEY=VALUE overrides become one Config.

Nothing is looked up here: whether a part and its options exist is checked where the competition is opened, before any data is read.
"""

import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import tomli_w

from kit.errors import ConfigError, bullets, did_you_mean
from kit.files import write_text

BLEND = "blend"  # of a preset: the presets whose runs are blended with its own
Part = str | dict[str, Any]  # "huber", or { name = "huber", delta = 1.5 }


@dataclass(frozen=True, kw_only=True)
class Config:
    """What config.toml says, section by section, in the order of its questions."""

    title: str = ""
    kaggle: str = ""
    input: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    score: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    encoders: dict[str, Any] = field(default_factory=dict)
    augment: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    post: dict[str, Any] = field(default_factory=dict)
    pretrain: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The sections that hold something. An option that is None is left out: TOML has no word for it, and it is a default."""
        return {f.name: _said(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name)}

    def with_(self, section: str, **values: Any) -> "Config":
        """A copy with some values of a section set."""
        return replace(self, **{section: {**getattr(self, section), **values}})

    def write(self, path: Path) -> None:
        write_text(path, tomli_w.dumps(self.as_dict()))


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _said(v) for k, v in value.items() if v is not None}
    return deepcopy(value)


class Scoring:
    """The keys of [score]."""

    def __init__(self, *, metric: Part, folds: Part = "kfold", weight: str = "", prior: str | dict[str, float] = "", exact: bool = False, alike: float = 0.0):
        """
        weight  a column whose values weigh the rows of the metric; "" is none
        prior   the class balance of the test rows, where the host tells it: "uniform", or class -> share; "" is that of the training rows
        exact   whether the host tells the test rows' counts themselves, not what to expect: all their probabilities are then moved together until
                they sum to the counts, and those of validated rows to the counts of these
        alike   0..1: training pictures of one class whose features ([encoders.image]), or sounds whose spectra and their course, are at least so similar share a fold; 0 is off. Copies
                of one picture on both sides make a score that no test row gets
        """


class Modelling:
    """The keys of [model] that every model of tables has, unless it has an option of the same name; a model adds its own."""

    def __init__(self, *, weights: str = "none"):
        """
        weights  "none", or a file that `kit pretrain` wrote: what its network makes of each row stands beside the row's columns
        """


class Training:
    """The keys of [train] that every model has; a network's training loop adds its own."""

    def __init__(
        self,
        *,
        final: Literal["folds", "refit", "further", "last", ""] = "",
        loss: Part = "",
        seed: int = 0,
        threads: int = 0,
        fold: int = -1,
        pseudo: str = "",
        pseudo_weight: float = 0.5,
        pseudo_confidence: float = 0.0,
    ):
        """
        final    what predicts the test rows: the folds' models; one of all rows ("refit"); the network of the only fold after a few more epochs on
                 all rows ("further"); the last fold's. "" is "refit" for forward-in-time folds, else "folds"
        loss     "" is the metric's own, else the task's
        threads  CPU threads; 0 is one for each core that this process may use
        fold     train this fold alone; -1 is all
        pseudo   a run, by its name or its path, whose answers for the test rows are learned from as labels, fold by fold; "" is none
        pseudo_weight      of a row with such a label, where a labelled one weighs 1
        pseudo_confidence  0..1, for classes: only rows whose likeliest class is at least so probable get a label
        """


class Contrasting:
    """The keys of [pretrain] for method "simclr", which looks at pictures; `method` itself beside them."""

    def __init__(
        self,
        *,
        epochs: int = 50,
        batch_size: int = 256,
        lr: float = 1e-3,
        temperature: float = 0.1,
        hidden: int = 512,
        projected: int = 128,
        least_area: float = 0.2,
    ):
        """
        batch_size   rows of a step; each is compared with all others of its step
        lr           at its highest, per step
        temperature  by which similarities are divided; lower looks harder at the nearest
        hidden       width of the projection that is thrown away afterwards
        projected    numbers that are compared
        least_area   0..1, share of a picture that a view may be as little as
        """


class Denoising:
    """The keys of [pretrain] for method "denoising", which looks at tables; `method` itself beside them."""

    def __init__(
        self,
        *,
        epochs: int = 0,
        batch_size: int = 256,
        lr: float = 1e-3,
        noise: float = 0.15,
        width: int = 256,
        layers: int = 2,
        width_out: int = 64,
        category_width: int = 8,
        most_categories: int = 1000,
    ):
        """
        epochs           0 is chosen by the number of rows
        batch_size       rows of a step
        lr               at its highest, per step
        noise            0..1, share of the cells that take their column's value in another row
        width, layers    of the hidden layers
        width_out        columns that are made
        category_width   of a category's embedding
        most_categories  columns with more of them are looked at, but not given back
        """


class Masking:
    """The keys of [pretrain] for method "masked", which looks at texts or sounds; `method` itself beside them."""

    def __init__(self, *, epochs: int = 5, batch_size: int = 32, lr: float = 1e-4, share: float = 0.0):
        """
        batch_size  rows of a step
        lr          at its highest, per step
        share       0..1, of the tokens (or of the patches of a spectrogram) that are hidden; 0 is 0.15 of tokens, and half of the patches
        """


PRETRAINING = {"simclr": Contrasting, "masked": Masking, "denoising": Denoising}  # method -> its keys; where none is named, the model decides


def part(value: Part, key: str = "name") -> tuple[str, dict[str, Any]]:
    """The name and the options of a part that is given as a word or as a table."""
    if not isinstance(value, dict):  # a number is no name either: looking it up says so
        return str(value), {}
    return str(value.get(key, "")), {k: v for k, v in value.items() if k != key}


def read(path: Path, *, preset: str | None = None, overrides: Iterable[str] = ()) -> Config:
    """The config of a file, with a preset laid over it, then the overrides.

    overrides  such as "train.epochs=5"
    Raises ConfigError, with all mistakes of form at once.
    """
    values = _toml(path)
    presets = values.pop("preset", {})
    problems = _problems_of_form(values, str(path))
    if not isinstance(presets, dict):
        problems.append(f"{path}: preset must be a table, such as [preset.fast], not {presets!r}")
        presets = {}
    for name, layer in presets.items():
        if isinstance(layer, dict):
            problems += _problems_of_blend(layer.pop(BLEND, []), name, presets, f"{path}: preset.{name}.{BLEND}")
        problems += _problems_of_form(layer, f"{path}: preset.{name}")
    if preset is not None and preset not in presets:
        problems.append(f'no preset "{preset}" in {path}{did_you_mean(preset, presets)}')
    parsed = []
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not all(key.split(".")):
            problems.append(f'"{text}" is not KEY=VALUE, for example train.seed=1')
        elif key.split(".")[0] not in _known():
            problems.append(f'no section "{key.split(".")[0]}" for {text}{did_you_mean(key.split(".")[0], _known())}')
        elif "." not in key and key not in ("title", "kaggle"):
            problems.append(f'"{text}" replaces a whole section; name a key in it, for example {key}.name=VALUE')
        else:
            parsed.append((key.split("."), _toml_value(value)))
    if problems:
        raise ConfigError(bullets(problems))
    if preset is not None:
        values = _switch_model(values, presets[preset].get("model", {}).get("name"))
        values = _laid_over(values, presets[preset])
    named = [value for keys, value in parsed if keys == ["model", "name"]]
    values = _switch_model(values, named[-1] if named else None)
    for keys, value in parsed:
        _set(values, keys, value)
    return Config(**values)


def blended_with(path: Path, preset: str | None) -> list[str]:
    """The presets whose runs are to be blended with this one's. The file has been read: what it says of them is right."""
    return list(_toml(path).get("preset", {}).get(preset, {}).get(BLEND, [])) if preset is not None else []


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"no {path}\na competition is a folder with a config.toml: `kit list competitions`, `kit new NAME`") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _problems_of_blend(named: Any, own: str, presets: dict[str, Any], where: str) -> list[str]:
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return [f'{where} must be a list of presets, such as ["packaged"], not {named!r}']
    wrong = [name for name in named if name == own or name not in presets]
    return [f'{where}: "{name}" is {"this preset itself" if name == own else f"no preset{did_you_mean(name, presets)}"}' for name in wrong]


def _known() -> list[str]:
    return [f.name for f in fields(Config)]


def _problems_of_form(values: Any, where: str) -> list[str]:
    if not isinstance(values, dict):
        return [f"{where} must be a table"]
    problems = [f'{where}: no section "{key}"{did_you_mean(key, [*_known(), "preset"])}' for key in values if key not in _known()]
    for key in _known():
        wanted, word = (str, "text") if key in ("title", "kaggle") else (dict, "a table")
        if key in values and not isinstance(values[key], wanted):
            problems.append(f"{where}: {key} must be {word}, not {values[key]!r}")
    return problems


def _toml_value(text: str) -> Any:
    """`5`, `1e-4`, `true`, `["a"]` as TOML reads them; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def suits_any_model(override: str) -> bool:
    """Whether it may stand whatever the model: what is told of a model, or of how one learns, is not for another."""
    key, _, value = override.partition("=")
    section, _, key = key.partition(".")
    return section != "model" and (section != "train" or _suits_any(key, value))


def _suits_any(key: str, value: Any) -> bool:
    """Whether a key of [train] says nothing of how a model learns: to go on "further" is to go on with its epochs."""
    return (key, value) != ("final", "further") and (key in ("final", "seed", "threads", "fold") or key.startswith("pseudo"))


def _switch_model(values: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Naming another model drops the options of the old one, its loss and its training loop's included."""
    if name is None or values.get("model", {}).get("name") == name:
        return values
    kept = {k: v for k, v in values.get("train", {}).items() if _suits_any(k, v)}
    return {**values, "model": {"name": name}, "train": kept}


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict) and not _another(merged[key], value)
        merged[key] = _laid_over(merged[key], value) if both else deepcopy(value)
    return merged


def _another(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether two tables name two parts: the options of the one are not the other's."""
    return any(key in above and above[key] != below.get(key, above[key]) for key in ("name", "scheme"))


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    *path, last = keys
    for depth, key in enumerate(path):
        if isinstance(values.get(key), str):  # "huber" becomes { name = "huber" }, so that an option can stand beside it
            values[key] = {"scheme" if path[: depth + 1] == ["score", "folds"] else "name": values[key]}
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{'.'.join(keys)}={value}: {'.'.join(path[: depth + 1])} is {values!r}, which has no keys of its own")
    if keys[0] == "model" and len(keys) > 2 and _another(values, {last: value}):
        values.clear()
    if isinstance(values.get(last), dict) and isinstance(value, str) and keys[0] in ("score", "train"):
        value = {"scheme" if last == "folds" else "name": value}  # naming another part drops the old part's options
    values[last] = value
