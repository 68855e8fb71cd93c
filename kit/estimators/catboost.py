"""CatBoost: symmetric trees over ordered target statistics of the categories; rounds found on watched rows, then refitted on all of them."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd

from kit.encoders import Features
from kit.errors import TrainingError
from kit.estimators import Setup
from kit.estimators._boosted import Boosted, Column, as_float32, over
from kit.files import whole
from kit.space import Choice, Real, Whole

_OF_THE_MOMENT = ("model_guid", "train_finish_time")  # the same fit writes the same bytes


@dataclass(frozen=True)
class _Kept:
    """A booster as its text has it: the library's text rounds in the last digit."""

    text: str
    model: catboost.CatBoost


class Catboost(Boosted):
    name = "catboost"
    losses = {
        "bce": "Logloss", "cross_entropy": "MultiClass", "mse": "RMSE", "mae": "MAE", "huber": "Huber", "quantile": "Quantile",
        "tweedie": "Tweedie", "poisson": "Poisson", "mape": "MAE",
    }  # fmt: skip
    loss_options = {"huber": {"delta": "delta"}, "quantile": {"alpha": "alpha"}, "tweedie": {"power": "variance_power"}}
    space = {
        "learning_rate": Real(0.02, 0.2, log=True), "depth": Whole(3, 9), "l2": Real(0.1, 30.0, log=True), "row_share": Real(0.4, 1.0),
        "column_share": Real(0.3, 1.0), "random_strength": Real(0.1, 10.0, log=True), "one_hot": Choice((2, 8, 25)),
    }  # fmt: skip

    def __init__(
        self,
        setup: Setup,
        *,
        rounds: int = 0,
        most_rounds: int = 3000,
        patience: int = 100,
        seconds: float = 0.0,
        learning_rate: float = 0.0,
        depth: int = 0,
        l2: float = 3.0,
        row_share: float = 0.8,
        column_share: float = 1.0,
        random_strength: float = 1.0,
        one_hot: int = 8,
        max_bin: int = 254,
        models: int = 1,
    ):
        """Zeros are chosen by the number of training rows.

        rounds           0 finds them by early stopping
        patience         rounds without a gain before it stops
        seconds          of a search for rounds, at most: the best by then is taken; 0 is any time, and the same rounds each time
        learning_rate    per round
        depth            of a tree: all its leaves are this deep
        row_share        of the rows that each tree sees
        column_share     of the columns that each level sees
        random_strength  of the noise on a cut's score, in its first deviations; 0 is none
        one_hot          a category column of so many values or fewer is a column a value; others become means of the answer in earlier rows
        models           boosters with other seeds, averaged
        """
        super().__init__(setup, {k: v for k, v in locals().items() if k not in ("self", "setup", "__class__")})

    def parameters(self, n: int, seed: int, deviation: float = 1.0) -> dict[str, Any]:
        """CatBoost's own, for n training rows whose target has this standard deviation."""
        given = self.options
        middle = n < 20_000
        loss = self.losses[self.setup.loss]
        told = ";".join(f"{name}={value!r}" for name, value in self.loss_given(deviation).items())
        parameters = {
            "loss_function": f"{loss}:{told}" if told else loss,
            # the library's own choice goes by the rounds asked for, and the refit asks for others than the watched fit
            "learning_rate": given["learning_rate"] or (0.05 if middle else 0.1),
            "depth": given["depth"] or (6 if middle else 8),
            "l2_leaf_reg": given["l2"],
            "bootstrap_type": "Bernoulli" if given["row_share"] < 1 else "No",
            "rsm": given["column_share"],
            "random_strength": given["random_strength"],
            "one_hot_max_size": given["one_hot"],
            "border_count": given["max_bin"],
            "random_seed": seed,
            "thread_count": self.threads(n),
            "boosting_type": "Plain",
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
        if given["row_share"] < 1:
            parameters["subsample"] = given["row_share"]
        if self.setup.task == "multiclass":
            parameters["classes_count"] = self.setup.outputs
        elif self.setup.task != "regression":
            # a label that all training rows have, or none: the library would take the only one for the first class
            parameters |= {"allow_const_label": True, "class_names": [0, 1]}
        return parameters

    def _pool(self, column: Column) -> catboost.Pool:
        target = column.target.astype(np.int64) if self.setup.task != "regression" else column.target
        return _pool(column.features, target, column.weight)

    def _train(self, parameters: dict[str, Any], train: Column, watched: Column | None = None, seconds: float = 0.0) -> catboost.CatBoost:
        model = catboost.CatBoost(parameters)
        told = {"log_cout": lambda line: self.setup.progress(line.strip()), "log_cerr": lambda line: self.setup.progress(line.strip())}
        try:
            if watched is None:
                model.fit(self._pool(train), **told)
            else:
                model.fit(self._pool(train), eval_set=self._pool(watched), callbacks=[_InTime(seconds)], **told)
        except catboost.CatBoostError as error:
            raise TrainingError(f'model "catboost" cannot be fitted on {len(train)} rows: {error}') from error
        return model

    def _rounds(self, train: Column, watched: Column, seconds: float) -> tuple[int, list[float]]:
        stopping = {"iterations": self.options["most_rounds"], "od_type": "Iter", "od_wait": self.options["patience"], "use_best_model": True}
        n = len(train) + len(watched)  # the parameters of the fit, which has both
        model = self._train(self.parameters(n, self.setup.seed, train.deviation) | stopping, train, watched, seconds)
        losses = next(iter(model.get_evals_result()["validation"].values()))
        return model.get_best_iteration() + 1, losses

    def _fitted(self, train: Column, rounds: int, seeds: list[int]) -> list[_Kept]:
        return [self._one(train, rounds, seed) for seed in seeds]

    def _one(self, train: Column, rounds: int, seed: int) -> _Kept:
        model = self._train(self.parameters(len(train), seed, train.deviation) | {"iterations": rounds}, train)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save_model(str(path), format="json")
            saved = json.loads(path.read_text(encoding="utf-8"))
            for key in _OF_THE_MOMENT:
                saved["model_info"].pop(key, None)
            path.write_text(json.dumps(saved), encoding="utf-8")
            return self._read(path)

    def _given(self, features: Features) -> catboost.Pool:
        return _pool(features)

    def _asked(self, booster: _Kept, given: catboost.Pool, threads: int) -> np.ndarray:
        if self.setup.task == "regression":
            raw = booster.model.predict(given, thread_count=threads)
            return np.exp(raw) if self.setup.loss in ("poisson", "tweedie") else raw
        p = booster.model.predict(given, prediction_type="Probability", thread_count=threads)
        return p if self.setup.task == "multiclass" else p[:, 1]

    def _brought(self, booster: _Kept) -> np.ndarray:
        """How much a prediction moves where the column does, of 100."""
        return booster.model.get_feature_importance()

    def _write(self, booster: _Kept, path: Path) -> None:
        with whole(path) as temporary:
            temporary.write_text(booster.text, encoding="utf-8")

    def _read(self, path: Path) -> _Kept:
        model = catboost.CatBoost()
        model.load_model(str(path), format="json")
        return _Kept(path.read_text(encoding="utf-8"), model)


class _InTime:
    """Ends a training when its seconds are over."""

    def __init__(self, seconds: float):
        self.over = over(seconds)

    def after_iteration(self, info: Any) -> bool:
        """Whether to go on."""
        return not self.over()


def _pool(features: Features, target: np.ndarray | None = None, weight: np.ndarray | None = None) -> catboost.Pool:
    """The codes last among the dense columns; 0, missing or never seen, is a category of its own. N-grams stay sparse."""
    n_dense, n_codes = len(features.dense_names), len(features.code_names)
    blocks = [pd.DataFrame(as_float32(features.dense)), pd.DataFrame(features.codes)]
    if features.sparse is not None:
        blocks.append(pd.DataFrame.sparse.from_spmatrix(features.sparse))
    frame = pd.concat(blocks, axis=1, ignore_index=True)
    return catboost.Pool(frame, target, cat_features=list(range(n_dense, n_dense + n_codes)), weight=weight)
