"""Looks parts up by name: the file name is the registration.

`kit/metrics/map_at_k.py` is metric `map_at_k`, and `./net.py` is a part in the competition's own folder. A part's module is imported
only when it is named, and its keyword-only parameters are the options that a config may give it.
"""

import ast
import importlib
import inspect
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from kit import own
from kit.errors import ConfigError, DependencyError, did_you_mean

KINDS = ("adapters", "transforms", "encoders", "estimators", "zoo", "tasks", "losses", "metrics", "loggers")
_MODULES = ("metrics",)  # a metric is its module; every other part is the one class in its file
_EXTRA_OF = {
    "torch": "neural", "pytorch_lightning": "neural", "safetensors": "neural", "timm": "image", "PIL": "image", "albumentations": "image",
    "torchvision": "image", "transformers": "text", "tokenizers": "text", "sentencepiece": "text", "google": "text", "soundfile": "audio", "soxr": "audio",
    "faiss": "retrieval", "lightly": "pretrain",
    "pytorch_metric_learning": "retrieval", "catboost": "boost", "xgboost": "boost", "optuna": "tune", "kaggle": "kaggle",
    "ensemble_boxes": "detection", "numba": "tracking", "tensorboard": "logs", "mlflow": "mlflow", "wandb": "wandb",
}  # fmt: skip


def names(kind: str) -> list[str]:
    """Every part of a kind, without importing any."""
    folder = Path(__file__).parent / kind
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))


def describe(kind: str, name: str) -> str:
    """The first line of the part's docstring, read without importing it."""
    path = Path(__file__).parent / kind / f"{name}.py"
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def find(kind: str, name: str, folder: Path | None = None) -> Any:
    """The part: a class, or for a metric its module.

    folder  the competition's, in which "./net.py" is looked for
    Raises ConfigError if there is none, DependencyError if a library it needs is missing.
    """
    assert kind in KINDS, kind
    if name.startswith("./"):
        return _only_part(kind, _import_own(kind, name, folder))
    if name not in names(kind):
        raise ConfigError(f'no {kind.removesuffix("es" if kind == "losses" else "s")} "{name}"{did_you_mean(name, names(kind))}')
    return _only_part(kind, _import(name, lambda: importlib.import_module(f"kit.{kind}.{name}")))


def find_model(name: str, folder: Path | None = None) -> tuple[str, Any]:
    """("estimators" or "zoo", part): estimators and networks share one namespace."""
    if name.startswith("./"):
        part = _only_part("estimators", _import_own("zoo", name, folder))
        return ("estimators" if hasattr(part, "predict") else "zoo"), part
    known = names("estimators") + names("zoo")
    if name not in known or name == "neural":
        raise ConfigError(f'no model "{name}"{did_you_mean(name, set(known) - {"neural"})}')
    kind = "zoo" if name in names("zoo") else "estimators"
    return kind, find(kind, name)


def installed(kind: str) -> list[str]:
    """The parts of a kind whose libraries are there."""
    found = []
    for name in names(kind):
        try:
            find(kind, name)
        except DependencyError:
            continue
        found.append(name)
    return found


def takes_of(model: Any, given: dict[str, Any]) -> tuple[str, ...]:
    """The column kinds that a model takes as they are; with some options it may take others."""
    return model.takes_for(**given) if hasattr(model, "takes_for") else getattr(model, "takes", ())


def own_module(folder: Path, stem: str) -> types.ModuleType:
    """A competition's own `<stem>.py`. Raises ConfigError where it cannot be read as Python, DependencyError where it lacks a library."""
    return _import(f"{stem}.py", lambda: own.load(folder, stem))


def needed(module: str, asked: str) -> types.ModuleType:
    """A module of kit's own that needs the libraries of an extra.

    asked  what in the config asks for it
    Raises DependencyError where a library is missing.
    """
    return _import(asked, lambda: importlib.import_module(module))


def _import_own(kind: str, name: str, folder: Path | None) -> types.ModuleType:
    path = None if folder is None else Path(folder) / name
    if not re.fullmatch(r"\./\w+\.py", name) or path is None or not path.is_file():
        raise ConfigError(f'no file "{name}" in {folder} for a part of kind {kind}: expected "./file.py" beside config.toml')
    return own_module(path.parent, path.stem)


def _import(name: str, load: Callable[[], types.ModuleType]) -> types.ModuleType:
    try:
        return load()
    except SyntaxError as error:
        raise ConfigError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except ModuleNotFoundError as error:
        library = (error.name or "").split(".")[0]
        if library == "kit" or not library:
            raise
        extra = _EXTRA_OF.get(library)
        how = f'pip install "competition-kit[{extra}]"' if extra else f"pip install {library}"
        called = "protobuf" if library == "google" else library
        raise DependencyError(f'"{name}" needs {called}, which is not installed\n{how}') from error


def _only_part(kind: str, module: types.ModuleType) -> Any:
    if kind in _MODULES:
        return module
    classes = [v for k, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module.__name__ and not k.startswith("_")]
    if len(classes) != 1 and module.__name__.startswith(own.__name__):
        raise ConfigError(f"{module.__file__} defines {len(classes)} classes: expected one whose name does not begin with _")
    assert len(classes) == 1, f"{module.__name__} must define exactly one public class, not {[c.__name__ for c in classes]}"
    return classes[0]


@dataclass(frozen=True)
class Option:
    """One keyword-only parameter of a part."""

    name: str
    annotation: Any
    default: Any  # inspect.Parameter.empty where the config must give it


def options(part: Any) -> dict[str, Option]:
    """The options of a part: the keyword-only parameters of its constructor, or of a metric's `score`."""
    call = part.score if isinstance(part, types.ModuleType) else part.__init__ if inspect.isclass(part) else part
    hints = get_type_hints(call)
    found = {}
    if inspect.isclass(part):  # a subclass that passes **options on takes its parents' options too
        passes_on = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(call).parameters.values())
        if passes_on and len(part.__mro__) > 2:
            found.update(options(part.__mro__[1]))
    for parameter in inspect.signature(call).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            found[parameter.name] = Option(parameter.name, hints.get(parameter.name, Any), parameter.default)
    return found


def check_options(part: Any, given: dict[str, Any], where: str) -> list[str]:
    """What is wrong with the given options, as sentences; none if all is well.

    where  the config section they stand in, such as "model"
    """
    from pydantic import TypeAdapter, ValidationError  # only where a config is checked: `kit --help` stays quick

    known = options(part)
    problems = [f"{where}.{key} is not an option here{did_you_mean(key, known)}" for key in given if key not in known]
    for key, option in known.items():
        if key not in given:
            if option.default is inspect.Parameter.empty:
                problems.append(f"{where}.{key} is missing: it has no default")
            continue
        try:
            TypeAdapter(option.annotation).validate_python(given[key], strict=True)
        except ValidationError as error:
            reasons = "; ".join(sorted({e["msg"] for e in error.errors()}))
            problems.append(f"{where}.{key} = {given[key]!r}: {reasons}")
    return problems


def filled(part: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The given options, and the defaults of the others."""
    defaults = {k: o.default for k, o in options(part).items() if o.default is not inspect.Parameter.empty}
    return {**defaults, **given}
