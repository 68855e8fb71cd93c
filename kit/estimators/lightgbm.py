"""Gradient-boosted trees: native categories and missing values; rounds found on watched rows, then refitted on all of them."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import scipy.sparse

from kit.encoders import Examples, Features
from kit.errors import ConfigError, shorten
from kit.estimators import Setup
from kit.estimators._boosted import add_curve
from kit.files import read_json, whole, write_json
from kit.space import Choice, Real, Whole

OBJECTIVES = {
    "bce": "binary", "cross_entropy": "multiclass", "mse": "regression", "mae": "regression_l1", "huber": "huber", "quantile": "quantile",
    "tweedie": "tweedie", "poisson": "poisson", "gamma": "gamma", "mape": "mape",
}  # fmt: skip
_LOSS_OPTIONS = {"huber": {"delta": "alpha"}, "quantile": {"alpha": "alpha"}, "tweedie": {"power": "tweedie_variance_power"}}


class Lightgbm:
    space = {
        "learning_rate": Real(0.01, 0.15, log=True), "leaves": Whole(4, 256, log=True), "min_rows": Whole(2, 200, log=True), "column_share": Real(0.2, 1.0),
        "row_share": Real(0.4, 1.0), "l1": Real(1e-3, 10.0, log=True), "l2": Real(1e-3, 30.0, log=True), "extra_trees": Choice((False, True)),
    }  # fmt: skip

    def __init__(
        self,
        setup: Setup,
        *,
        rounds: int = 0,
        most_rounds: int = 5000,
        patience: int = 100,
        learning_rate: float = 0.0,
        leaves: int = 0,
        depth: int = -1,
        min_rows: int = 0,
        column_share: float = 0.0,
        row_share: float = 0.8,
        l1: float = 0.0,
        l2: float = 1.0,
        extra_trees: bool = False,
        max_bin: int = 255,
        models: int = 1,
    ):
        """Zeros are chosen by the number of training rows.

        rounds         0 finds them by early stopping
        patience       rounds without a gain before it stops
        learning_rate  per round
        leaves         of a tree, at most
        depth          of a tree, at most; -1 is any
        min_rows       training rows in a leaf, at least
        column_share   of the columns that each tree sees
        row_share      of the rows that each tree sees
        models         boosters with other seeds, averaged
        """
        self.setup = setup
        self.options = {k: v for k, v in locals().items() if k not in ("self", "setup")}
        self.boosters: list[lightgbm.Booster] = []
        self.names: list[str] = []
        self.history: dict[str, list[float]] = {}
        if setup.loss not in OBJECTIVES:
            raise ConfigError(f'train.loss = "{setup.loss}": model "lightgbm" knows {shorten(OBJECTIVES, 20)}')
        unknown = set(setup.loss_options) - set(_LOSS_OPTIONS.get(setup.loss, {}))
        if unknown:
            raise ConfigError(f"train.loss.{min(unknown)} is no option of {setup.loss}: it takes {shorten(_LOSS_OPTIONS.get(setup.loss, {})) or 'none'}")

    @property
    def watches(self) -> bool:
        return self.options["rounds"] == 0

    def parameters(self, n: int, seed: int, deviation: float = 1.0) -> dict[str, Any]:
        """LightGBM's own, for n training rows whose target has this standard deviation."""
        given, setup = self.options, self.setup
        small, middle = n < 3_000, n < 20_000
        parameters = {
            "objective": OBJECTIVES[setup.loss],
            "learning_rate": given["learning_rate"] or (0.03 if middle else 0.06),
            "num_leaves": given["leaves"] or (8 if small else 24 if middle else 63),
            "max_depth": given["depth"],
            "min_data_in_leaf": given["min_rows"] or (10 if small else 20 if middle else 40),
            "feature_fraction": given["column_share"] or (0.5 if small else 0.6),
            "bagging_fraction": given["row_share"],
            "bagging_freq": 1 if given["row_share"] < 1 else 0,
            "lambda_l1": given["l1"],
            "lambda_l2": given["l2"],
            "extra_trees": given["extra_trees"],
            "max_bin": given["max_bin"],
            "seed": seed,
            "num_threads": self._threads(n),
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
            "cat_smooth": 10,
            "min_data_per_group": 20 if middle else 100,
        }
        if setup.task == "multiclass":
            parameters |= {"objective": "multiclass" if setup.loss == "cross_entropy" else "multiclassova", "num_class": setup.outputs}
        for ours, theirs in _LOSS_OPTIONS.get(setup.loss, {}).items():
            if ours in setup.loss_options:
                parameters[theirs] = setup.loss_options[ours]
        if setup.loss == "quantile":
            parameters.setdefault("alpha", 0.5)  # the house's; LightGBM's own is 0.9
        if setup.loss == "huber" and not parameters.get("alpha"):
            parameters["alpha"] = deviation  # as in the networks' Huber loss
        return parameters

    def _threads(self, n: int) -> int:
        """One for small tables: their threads spend their time waiting for one another, and very long if other processes want the cores."""
        return 1 if n < 10_000 else self.setup.threads

    @staticmethod
    def _matrix(features: Features):
        """(n, columns) with the codes last among the dense ones; missing codes are NaN."""
        parts = [features.dense]
        if features.codes.shape[1]:
            codes = features.codes.astype(features.dense.dtype)
            codes[features.codes == 0] = np.nan
            parts.append(codes)
        dense = parts[0] if len(parts) == 1 else np.hstack(parts)
        if features.sparse is None:
            return dense
        return scipy.sparse.hstack([scipy.sparse.csr_matrix(np.where(dense == 0, 0, dense)), features.sparse], format="csr")

    def _dataset(self, rows: Examples, column: np.ndarray, reference=None, keep: bool = False) -> lightgbm.Dataset:
        features = rows.features
        n_dense, n_codes = len(features.dense_names), len(features.code_names)
        return lightgbm.Dataset(
            self._matrix(features),
            column,
            weight=rows.weight,
            reference=reference,
            categorical_feature=list(range(n_dense, n_dense + n_codes)),
            free_raw_data=not keep,
            params={"verbosity": -1, "max_bin": self.options["max_bin"], "num_threads": self._threads(len(rows)), "force_row_wise": True},
        )

    def _columns(self, rows: Examples) -> list[np.ndarray]:
        return [rows.target] if self.setup.task == "multiclass" else [np.ascontiguousarray(c) for c in rows.target.reshape(len(rows), -1).T]

    def watch(self, train: Examples, watched: Examples) -> dict[str, Any]:
        """The rounds after which the watched rows no longer gain, for each output."""
        found, curves = [], []
        for column, other in zip(self._columns(train), self._columns(watched)):
            data, told = self._dataset(train, column), {}
            booster = lightgbm.train(
                self.parameters(len(train), self.setup.seed, float(column.std()) or 1.0),
                data,
                self.options["most_rounds"],
                valid_sets=[self._dataset(watched, other, reference=data)],
                callbacks=[lightgbm.early_stopping(self.options["patience"], verbose=False), lightgbm.record_evaluation(told)],
            )
            found.append(max(booster.best_iteration, 1))
            curves.append(next(iter(told["valid_0"].values())))
        add_curve(self.history, curves[0])
        return {"rounds": found}

    def fit(self, train: Examples, found: dict[str, Any]) -> None:
        columns = self._columns(train)
        rounds = found.get("rounds") or [self.options["rounds"]] * len(columns)
        self.boosters = []
        for column, count in zip(columns, rounds):
            data = self._dataset(train, column)
            for model in range(self.options["models"]):
                self.boosters.append(lightgbm.train(self.parameters(len(train), self.setup.seed + 1000 * model, float(column.std()) or 1.0), data, int(count)))
        features = train.features
        self.names = [*features.dense_names, *features.code_names]

    def predict(self, rows: Examples) -> np.ndarray:
        matrix, each = self._matrix(rows.features), self.options["models"]
        predicted = [b.predict(matrix, num_threads=self._threads(len(rows))) for b in self.boosters]
        means = [np.mean(predicted[n : n + each], axis=0) for n in range(0, len(predicted), each)]
        return means[0] if self.setup.task == "multiclass" else np.column_stack(means)

    def importances(self) -> dict[str, float]:
        """Share of the total gain of each column; hashed n-grams count together."""
        gain = np.sum([b.feature_importance("gain") for b in self.boosters], axis=0)
        named = dict(zip(self.names, gain.tolist()))
        if len(gain) > len(self.names):
            named["n-grams"] = float(gain[len(self.names) :].sum())
        total = sum(named.values()) or 1.0
        return {k: v / total for k, v in sorted(named.items(), key=lambda item: -item[1])}

    def save(self, folder: Path) -> None:
        for n, booster in enumerate(self.boosters):
            with whole(folder / f"model-{n}.txt") as temporary:
                temporary.write_text(booster.model_to_string(), encoding="utf-8")
        write_json(folder / "model.json", {"boosters": len(self.boosters), "names": self.names, "importances": self.importances()})

    def load(self, folder: Path) -> None:
        saved = read_json(folder / "model.json")
        self.names = saved["names"]
        self.boosters = [lightgbm.Booster(model_str=(folder / f"model-{n}.txt").read_text(encoding="utf-8")) for n in range(saved["boosters"])]
