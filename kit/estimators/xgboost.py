"""XGBoost: trees grown level by level under second-order penalties; native categories and missing values; rounds found on watched rows."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import xgboost

from kit.encoders import Features
from kit.estimators import Setup
from kit.estimators._boosted import MIDDLE, Boosted, Column, as_float32, over, usual_rate, usual_share
from kit.files import whole
from kit.space import Real, Whole


class Xgboost(Boosted):
    name = "xgboost"
    losses = {
        "bce": "binary:logistic", "cross_entropy": "multi:softprob", "mse": "reg:squarederror", "mae": "reg:absoluteerror", "quantile": "reg:quantileerror",
        "tweedie": "reg:tweedie", "poisson": "count:poisson", "gamma": "reg:gamma", "mape": "reg:absoluteerror",
    }  # fmt: skip
    loss_options = {"quantile": {"alpha": "quantile_alpha"}, "tweedie": {"power": "tweedie_variance_power"}}
    space = {
        "learning_rate": Real(0.01, 0.15, log=True), "depth": Whole(2, 10), "min_weight": Real(0.1, 100.0, log=True), "column_share": Real(0.2, 1.0),
        "row_share": Real(0.4, 1.0), "l1": Real(1e-3, 10.0, log=True), "l2": Real(1e-2, 30.0, log=True),
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
        depth: int = 0,
        min_weight: float = 5.0,
        column_share: float = 0.0,
        row_share: float = 0.7,
        l1: float = 0.0,
        l2: float = 5.0,
        max_bin: int = 256,
        models: int = 1,
    ):
        """Zeros are chosen by the number of training rows, and of columns.

        rounds         0 finds them by early stopping
        patience       rounds without a gain before it stops
        seconds        of a search for rounds, at most: the best by then is taken; 0 is any time, and the same rounds each time
        learning_rate  per round
        depth          of a tree, at most
        min_weight     second derivatives of the loss in a leaf, summed, at least: for squared errors these are rows
        column_share   of the columns that each tree sees
        row_share      of the rows that each tree sees
        models         boosters with other seeds, averaged
        """
        super().__init__(setup, {k: v for k, v in locals().items() if k not in ("self", "setup", "__class__")})

    def parameters(self, n: int, seed: int, width: int, deviation: float = 1.0) -> dict[str, Any]:
        """XGBoost's own, for n training rows of so many columns, whose target has this standard deviation."""
        given = self.options
        few, middle = n < 10_000, n < MIDDLE
        parameters = {
            "objective": self.losses[self.setup.loss],
            "tree_method": "hist",
            "learning_rate": given["learning_rate"] or usual_rate(n),
            "max_depth": given["depth"] or (4 if few else 6 if middle else 8),
            "min_child_weight": given["min_weight"],
            "colsample_bytree": given["column_share"] or usual_share(n, width),
            "subsample": given["row_share"],
            "alpha": given["l1"],
            "lambda": given["l2"],
            "max_bin": given["max_bin"],
            "seed": seed,
            "nthread": self.threads(n),
            "verbosity": 1,
        }
        if self.setup.task == "multiclass":
            parameters["num_class"] = self.setup.outputs
        return parameters | self.loss_given(deviation)

    def _matrix(self, column: Column, reference: xgboost.DMatrix | None = None) -> xgboost.QuantileDMatrix:
        values, kinds = _values(column.features)
        told = {"feature_types": kinds, "enable_categorical": True, "nthread": self.threads(len(column))}
        return xgboost.QuantileDMatrix(values, column.target, weight=column.weight, max_bin=self.options["max_bin"], ref=reference, **told)

    def _rounds(self, train: Column, watched: Column, seconds: float) -> tuple[int, list[float]]:
        data, told = self._matrix(train), {}
        booster = xgboost.train(
            self.parameters(len(train) + len(watched), self.setup.seed, train.width, train.deviation),  # as in the fit, which has both
            data,
            self.options["most_rounds"],
            evals=[(self._matrix(watched, data), "watched")],
            callbacks=[xgboost.callback.EarlyStopping(rounds=self.options["patience"]), _InTime(seconds)],
            evals_result=told,
            verbose_eval=False,
        )
        return booster.best_iteration + 1, next(iter(told["watched"].values()))

    def _fitted(self, train: Column, rounds: int, seeds: list[int]) -> list[xgboost.Booster]:
        data = self._matrix(train)
        return [xgboost.train(self.parameters(len(train), seed, train.width, train.deviation), data, rounds) for seed in seeds]

    def _given(self, features: Features) -> xgboost.DMatrix:
        values, kinds = _values(features)
        return xgboost.DMatrix(values, feature_types=kinds, enable_categorical=True, nthread=self.threads(len(features)))

    def _asked(self, booster: xgboost.Booster, given: xgboost.DMatrix, threads: int) -> np.ndarray:
        booster.set_param({"nthread": threads})
        return booster.predict(given)

    def _brought(self, booster: xgboost.Booster) -> np.ndarray:
        gain = np.zeros(booster.num_features())
        for name, value in booster.get_score(importance_type="total_gain").items():
            gain[int(name[1:])] = value  # columns are f0, f1, …
        return gain

    def _write(self, booster: xgboost.Booster, path: Path) -> None:
        with whole(path) as temporary:
            temporary.write_bytes(booster.save_raw("json"))

    def _read(self, path: Path) -> xgboost.Booster:
        return xgboost.Booster(model_file=path)


class _InTime(xgboost.callback.TrainingCallback):
    """Ends a training when its seconds are over."""

    def __init__(self, seconds: float):
        super().__init__()
        self.over = over(seconds)

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return self.over()


def _values(features: Features) -> tuple[np.ndarray | scipy.sparse.csr_matrix, list[str]]:
    """(n, columns) float32, the codes last among the dense ones, with NaN for what is missing; and which columns are categories."""
    codes = features.codes.astype(np.float32)
    codes[features.codes == 0] = np.nan
    dense = np.hstack([as_float32(features.dense), codes])
    kinds = ["q"] * len(features.dense_names) + ["c"] * len(features.code_names)
    if features.sparse is None:
        return dense, kinds
    n, width = dense.shape
    # what a sparse row does not hold is missing to XGBoost: a number that is zero must be held
    held = scipy.sparse.csr_matrix((dense.ravel(), np.tile(np.arange(width), n), np.arange(n + 1) * width), (n, width))
    return scipy.sparse.hstack([held, features.sparse], format="csr"), kinds + ["q"] * features.sparse.shape[1]
