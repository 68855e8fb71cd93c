"""What boosting libraries have in common: a booster for each output, rounds found on watched rows, seeds averaged, a JSON file each."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kit.encoders import Examples, Features
from kit.errors import ConfigError, shorten
from kit.estimators import Setup
from kit.files import read_json, write_json

_LEAST_TRUTH = 1e-3  # of the mean |y|: what an absolute share of a smaller truth counts as, as in the networks' loss
_USUALLY = {"alpha": 0.5, "power": 1.5}  # what an option is that the config leaves out, as in the networks' losses
_FEW_ROWS = 10_000
_ENOUGH = 7  # columns that a tree should see, unless that is more than most of them
MIDDLE = 20_000  # rows
_FLOAT32 = float(np.finfo(np.float32).max)


def usual_rate(n: int) -> float:
    """The learning rate of a booster of trees of n rows that is told none."""
    return 0.03 if n < MIDDLE else 0.06


def usual_share(n: int, columns: int) -> float:
    """The share of so many columns that each tree of n rows sees, where none is told: of few columns a tree needs most (benchmarks/README.md)."""
    return max(0.5 if n < 3_000 else 0.6, min(_ENOUGH / max(columns, 1), 0.8))


@dataclass(frozen=True)
class Column:
    """
    target     (n,) one output of every row; for many classes their codes
    weight     (n,) or None for equal weights
    deviation  of the target, 1 where it does not vary
    """

    features: Features
    target: np.ndarray
    weight: np.ndarray | None

    def __len__(self) -> int:
        return len(self.target)

    @property
    def deviation(self) -> float:
        return float(self.target.std()) or 1.0

    @property
    def width(self) -> int:
        sparse = self.features.sparse
        return len(self.features.dense_names) + len(self.features.code_names) + (0 if sparse is None else sparse.shape[1])


class Boosted:
    """A library gives its losses by the house's names, and fits, asks, writes and reads one booster.

    losses        the house's name -> the library's
    loss_options  the house's name -> its options that the library has, by the library's names
    of_classes    task -> the losses that suit it; a number's are all others
    kept_as       the ending of a booster's file
    """

    name = ""
    of_classes: dict[str, tuple[str, ...]] = {"binary": ("bce",), "multilabel": ("bce",), "multiclass": ("cross_entropy",)}
    kept_as = "json"
    losses: dict[str, str] = {}
    loss_options: dict[str, dict[str, str]] = {}

    def __init__(self, setup: Setup, options: dict[str, Any]):
        self.setup, self.options = setup, options
        self.boosters: list[Any] = []
        self.names: list[str] = []
        self.history: dict[str, list[float]] = {}
        of_classes = {loss for losses in self.of_classes.values() for loss in losses}
        suits = self.of_classes.get(setup.task) or [loss for loss in self.losses if setup.task == "regression" and loss not in of_classes]
        if setup.loss not in suits:
            raise ConfigError(f'train.loss = "{setup.loss}": model "{self.name}" knows {shorten(suits, 20) or "none"} for task {setup.task}')
        known = self.loss_options.get(setup.loss, {})
        unknown = sorted(set(setup.loss_options) - set(known))
        if unknown:
            raise ConfigError(f"train.loss.{unknown[0]} is no option of {setup.loss}: it takes {shorten(known) or 'none'}")

    @property
    def watches(self) -> bool:
        return self.options["rounds"] == 0

    def threads(self, n: int) -> int:
        """One for small tables: their threads spend their time waiting for one another."""
        return 1 if n < _FEW_ROWS else self.setup.threads

    def loss_given(self, deviation: float) -> dict[str, float]:
        """The loss's options by the library's names. Huber's bends at one deviation of the target unless told, as the networks' does."""
        told = self.setup.loss_options
        given = {theirs: float(told.get(ours) or _USUALLY.get(ours, deviation)) for ours, theirs in self.loss_options.get(self.setup.loss, {}).items()}
        return given

    def _columns(self, rows: Examples) -> list[Column]:
        if self.setup.task == "multiclass":
            return [Column(rows.features, rows.target, rows.weight)]
        targets = [np.ascontiguousarray(c, dtype=np.float64) for c in rows.target.reshape(len(rows), -1).T]
        return [Column(rows.features, y, _shares(y, rows.weight) if self.setup.loss == "mape" else rows.weight) for y in targets]

    def watch(self, train: Examples, watched: Examples) -> dict[str, Any]:
        """The rounds after which the watched rows no longer gain, for each output."""
        pairs = list(zip(self._columns(train), self._columns(watched)))
        found, curves = zip(*(self._rounds(*pair, self.options["seconds"] / len(pairs)) for pair in pairs))
        add_curve(self.history, curves[0])
        return {"rounds": [max(rounds, 1) for rounds in found]}

    def fit(self, train: Examples, found: dict[str, Any]) -> None:
        columns = self._columns(train)
        rounds = found.get("rounds") or [self.options["rounds"]] * len(columns)
        seeds = [self.setup.seed + 1000 * model for model in range(self.options["models"])]
        self.boosters = [booster for column, count in zip(columns, rounds) for booster in self._fitted(column, int(count), seeds)]
        self.names = [*train.features.dense_names, *train.features.code_names]

    def predict(self, rows: Examples) -> np.ndarray:
        given, each = self._given(rows.features), self.options["models"]
        predicted = [self._asked(booster, given, self.threads(len(rows))) for booster in self.boosters]
        means = [np.mean(predicted[n : n + each], axis=0, dtype=np.float64) for n in range(0, len(predicted), each)]
        return means[0] if self.setup.task == "multiclass" else np.column_stack(means)

    def importances(self) -> dict[str, float]:
        """Share of each column in what all columns bring; hashed n-grams count together."""
        brought = np.sum([self._brought(b) for b in self.boosters], axis=0)
        named = dict(zip(self.names, brought.tolist()))
        if len(brought) > len(self.names):
            named["n-grams"] = float(brought[len(self.names) :].sum())
        total = sum(named.values()) or 1.0
        return {k: v / total for k, v in sorted(named.items(), key=lambda item: -item[1])}

    def save(self, folder: Path) -> None:
        for n, booster in enumerate(self.boosters):
            self._write(booster, folder / f"model-{n}.{self.kept_as}")
        columns = len(self._brought(self.boosters[0]))
        write_json(folder / "model.json", {"boosters": len(self.boosters), "names": self.names, "columns": columns, "importances": self.importances()})

    def load(self, folder: Path) -> None:
        saved = read_json(folder / "model.json")
        self.names = saved["names"]
        self.boosters = [self._read(folder / f"model-{n}.{self.kept_as}") for n in range(saved["boosters"])]

    def _rounds(self, train: Column, watched: Column, seconds: float) -> tuple[int, list[float]]:
        """(the best round counted from 1, the loss of the watched rows after each); the search ends after so many seconds, if not 0"""
        raise NotImplementedError

    def _fitted(self, train: Column, rounds: int, seeds: list[int]) -> list[Any]:
        """A booster for each seed, of the same rows, which are binned once where the library can."""
        raise NotImplementedError

    def _given(self, features: Features) -> Any:
        """Rows as the library asks for them."""
        raise NotImplementedError

    def _asked(self, booster: Any, given: Any, threads: int) -> np.ndarray:
        """(n,) or (n, classes): probabilities of classes, means of numbers."""
        raise NotImplementedError

    def _brought(self, booster: Any) -> np.ndarray:
        """(columns,) what each column brings to the booster."""
        raise NotImplementedError

    def _write(self, booster: Any, path: Path) -> None:
        raise NotImplementedError

    def _read(self, path: Path) -> Any:
        raise NotImplementedError


def over(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have passed since this call; with 0, never."""
    until = time.monotonic() + seconds
    return lambda: seconds > 0 and until < time.monotonic()


def add_curve(history: dict[str, list[float]], losses: list[float]) -> None:
    """One more cut's watched losses, round by round."""
    history["round"] = list(range(1, 1 + max(len(losses), len(history.get("round", [])))))
    history[f"watched {len(history)}"] = losses


def as_float32(dense: np.ndarray) -> np.ndarray:
    """What these libraries cut at is float32, and infinity is no number to them."""
    return np.clip(dense, -_FLOAT32, _FLOAT32).astype(np.float32, copy=False)


def _shares(target: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """(n,) weights of mean 1 that make the absolute error one that is a share of the truth."""
    size = np.abs(target)
    share = 1 / np.maximum(size, _LEAST_TRUTH * (size.mean() or 1.0))
    share = share / share.mean()
    return share if weight is None else share * weight
