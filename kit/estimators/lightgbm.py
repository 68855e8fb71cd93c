"""Gradient-boosted trees: native categories and missing values; rounds found on watched rows, then refitted on all of them."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import scipy.sparse

from kit.encoders import Features
from kit.estimators import Setup
from kit.estimators._boosted import MIDDLE, Boosted, Column, over, usual_rate, usual_share
from kit.files import whole
from kit.space import Choice, Real, Whole


class Lightgbm(Boosted):
    name = "lightgbm"
    losses = {
        "bce": "binary", "cross_entropy": "multiclass", "mse": "regression", "mae": "regression_l1", "huber": "huber", "quantile": "quantile",
        "tweedie": "tweedie", "poisson": "poisson", "gamma": "gamma", "mape": "regression_l1",
    }  # fmt: skip
    loss_options = {"huber": {"delta": "alpha"}, "quantile": {"alpha": "alpha"}, "tweedie": {"power": "tweedie_variance_power"}}
    of_classes = {**Boosted.of_classes, "multiclass": ("cross_entropy", "bce")}  # bce: each class against the rest
    kept_as = "txt"
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
        seconds: float = 0.0,
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
        """Zeros are chosen by the number of training rows, and of columns.

        rounds         0 finds them by early stopping
        patience       rounds without a gain before it stops
        seconds        of a search for rounds, at most: the best by then is taken; 0 is any time, and the same rounds each time
        learning_rate  per round
        leaves         of a tree, at most
        depth          of a tree, at most; -1 is any
        min_rows       training rows in a leaf, at least
        column_share   of the columns that each tree sees
        row_share      of the rows that each tree sees
        extra_trees    whether a cut is the best of random places instead of all
        models         boosters with other seeds, averaged
        """
        super().__init__(setup, {k: v for k, v in locals().items() if k not in ("self", "setup", "__class__")})

    def parameters(self, n: int, seed: int, width: int, deviation: float = 1.0) -> dict[str, Any]:
        """LightGBM's own, for n training rows of so many columns, whose target has this standard deviation."""
        given = self.options
        small, middle = n < 3_000, n < MIDDLE
        parameters = {
            "objective": self.losses[self.setup.loss],
            "learning_rate": given["learning_rate"] or usual_rate(n),
            "num_leaves": given["leaves"] or (8 if small else 24 if middle else 63),
            "max_depth": given["depth"],
            "min_data_in_leaf": given["min_rows"] or (10 if small else 20 if middle else 40),
            "feature_fraction": given["column_share"] or usual_share(n, width),
            "bagging_fraction": given["row_share"],
            "bagging_freq": 1 if given["row_share"] < 1 else 0,
            "lambda_l1": given["l1"],
            "lambda_l2": given["l2"],
            "extra_trees": given["extra_trees"],
            "max_bin": given["max_bin"],
            "seed": seed,
            "num_threads": self.threads(n),
            "deterministic": True,
            "force_col_wise": True,  # one of the two has to be fixed, or the same seed gives other trees: this one is the faster, by up to twice on two cores
            "verbosity": -1,
            "cat_smooth": 10,
            "min_data_per_group": 20 if middle else 100,
        }
        if self.setup.task == "multiclass":
            parameters |= {"objective": "multiclass" if self.setup.loss == "cross_entropy" else "multiclassova", "num_class": self.setup.outputs}
        return parameters | self.loss_given(deviation)

    def _given(self, features: Features) -> np.ndarray | scipy.sparse.csr_matrix:
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

    def _dataset(self, column: Column, reference: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
        n_dense, n_codes = len(column.features.dense_names), len(column.features.code_names)
        return lightgbm.Dataset(
            self._given(column.features),
            column.target,
            weight=column.weight,
            reference=reference,
            categorical_feature=list(range(n_dense, n_dense + n_codes)),
            params={"verbosity": -1, "max_bin": self.options["max_bin"], "num_threads": self.threads(len(column)), "force_col_wise": True},
        )

    def _rounds(self, train: Column, watched: Column, seconds: float) -> tuple[int, list[float]]:
        data, told = self._dataset(train), {}
        booster = lightgbm.train(
            self.parameters(len(train) + len(watched), self.setup.seed, train.width, train.deviation),  # as in the fit, which has both
            data,
            self.options["most_rounds"],
            valid_sets=[self._dataset(watched, data)],
            callbacks=[lightgbm.early_stopping(self.options["patience"], verbose=False), lightgbm.record_evaluation(told), _InTime(told, seconds)],
        )
        return booster.best_iteration, next(iter(told["valid_0"].values()))

    def _fitted(self, train: Column, rounds: int, seeds: list[int]) -> list[lightgbm.Booster]:
        data = self._dataset(train)
        return [lightgbm.train(self.parameters(len(train), seed, train.width, train.deviation), data, rounds) for seed in seeds]

    def _asked(self, booster: lightgbm.Booster, given: np.ndarray | scipy.sparse.csr_matrix, threads: int) -> np.ndarray:
        return booster.predict(given, num_threads=threads)

    def _brought(self, booster: lightgbm.Booster) -> np.ndarray:
        return booster.feature_importance("gain")

    def _write(self, booster: lightgbm.Booster, path: Path) -> None:
        with whole(path) as temporary:
            temporary.write_text(booster.model_to_string(), encoding="utf-8")

    def _read(self, path: Path) -> lightgbm.Booster:
        return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))


class _InTime:
    """Ends a training when its seconds are over, with the round that was best by then."""

    before_iteration = False

    def __init__(self, told: dict[str, dict[str, list[float]]], seconds: float):
        self.told, self.over = told, over(seconds)
        self.order = 40  # once the round is recorded

    def __call__(self, env: lightgbm.callback.CallbackEnv) -> None:
        if self.over():
            losses = next(iter(self.told["valid_0"].values()))
            raise lightgbm.callback.EarlyStopException(int(np.argmin(losses)), env.evaluation_result_list)
