"""Ridge regression or logistic regression on one-hot, scaled features; the strength of the penalty is chosen inside the training rows."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import ElasticNet, ElasticNetCV, LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold

from kit.encoders import Examples
from kit.errors import ConfigError
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._matrix import Scaler


class Linear:
    watches = False

    def __init__(self, setup: Setup, *, penalty: float = 0.0, sparse: float = 0.0, skewed: float = 1.0):
        """
        penalty  strength of the L2 penalty (ridge alpha; for classes 1 / C); 0 chooses it by inner cross-validation
        sparse   share of L1 in the penalty of a regression (elastic net), 0..1
        skewed   numbers whose skewness exceeds this go through the signed log1p; 0 is none
        """
        self.setup, self.penalty, self.sparse = setup, penalty, sparse
        self.scaler = Scaler(skewed=skewed)
        self.weights: dict[str, np.ndarray] = {}
        usual = {"binary": "bce", "multilabel": "bce", "multiclass": "cross_entropy", "regression": "mse"}[setup.task]
        if setup.loss not in (usual, "mae"):  # a line through the means stands in for one through the medians
            raise ConfigError(f'train.loss = "{setup.loss}": model "linear" minimises {usual}')

    def fit(self, train: Examples, found: dict) -> None:
        self.scaler.fit(train.features)
        x = self.scaler.transform(train.features)
        target = train.target.reshape(len(train), -1)
        fits = []
        for column in target.T:
            if self.setup.task == "regression":
                fits.append(self._regression(x, column, train.weight))
            else:
                fits.append(self._classes(x, column, train.weight))
        self.weights = {"coef": np.vstack([np.atleast_2d(c) for c, _ in fits]), "intercept": np.concatenate([np.atleast_1d(i) for _, i in fits])}

    def _regression(self, x, y: np.ndarray, weight: np.ndarray | None):
        if self.sparse:
            chosen = ElasticNetCV(l1_ratio=self.sparse, alphas=40, cv=KFold(5, shuffle=True, random_state=self.setup.seed), max_iter=5000, tol=1e-3)
            alpha = self.penalty or chosen.fit(x, y).alpha_
            model = ElasticNet(alpha=alpha, l1_ratio=self.sparse, max_iter=20000, tol=1e-4).fit(x, y, sample_weight=weight)
            return model.coef_, model.intercept_
        model = Ridge(alpha=self.penalty or self._best_alpha(x, y, weight)).fit(x, y, sample_weight=weight)
        return model.coef_, model.intercept_

    def _best_alpha(self, x, y: np.ndarray, weight: np.ndarray | None) -> float:
        tried = np.logspace(-1, 3.5, 10)
        errors = np.zeros(len(tried))
        for train, valid in KFold(5, shuffle=True, random_state=self.setup.seed).split(y):
            w = None if weight is None else weight[train]
            for n, alpha in enumerate(tried):
                predicted = Ridge(alpha=alpha).fit(x[train], y[train], sample_weight=w).predict(x[valid])
                errors[n] += ((predicted - y[valid]) ** 2).sum()
        return float(tried[errors.argmin()])

    def _logistic(self, penalty: float) -> LogisticRegression:
        return LogisticRegression(C=1 / penalty, max_iter=300, tol=1e-4, random_state=self.setup.seed)

    def _classes(self, x, y: np.ndarray, weight: np.ndarray | None):
        rarest = int(np.unique(y, return_counts=True)[1].min())
        penalty = self.penalty
        if not penalty:
            inner = StratifiedKFold(3, shuffle=True, random_state=self.setup.seed) if rarest >= 3 else KFold(3, shuffle=True, random_state=self.setup.seed)
            tried = [0.03, 0.3, 3.0, 30.0, 300.0]
            losses = np.zeros(len(tried))
            for train, valid in inner.split(np.zeros(len(y)), y):
                w = None if weight is None else weight[train]
                for n, strength in enumerate(tried):
                    model = self._logistic(strength).fit(x[train], y[train], sample_weight=w)
                    place = {c: k for k, c in enumerate(model.classes_)}
                    p = model.predict_proba(x[valid])
                    losses[n] -= sum(np.log(max(p[i, place[c]], 1e-15)) if c in place else np.log(1e-15) for i, c in enumerate(y[valid]))
            penalty = tried[int(losses.argmin())]
        model = self._logistic(penalty).fit(x, y, sample_weight=weight)
        if self.setup.task != "multiclass":
            return model.coef_, model.intercept_
        coef, intercept = np.zeros((self.setup.outputs, x.shape[1])), np.full(self.setup.outputs, -30.0)  # a class with no training row
        seen = model.classes_.astype(int)
        if len(seen) == 2:
            coef[seen], intercept[seen] = np.vstack([-model.coef_ / 2, model.coef_ / 2]), np.concatenate([-model.intercept_ / 2, model.intercept_ / 2])
        else:
            coef[seen], intercept[seen] = model.coef_, model.intercept_
        return coef, intercept

    def predict(self, rows: Examples) -> np.ndarray:
        raw = np.asarray(self.scaler.transform(rows.features) @ self.weights["coef"].T) + self.weights["intercept"]
        if self.setup.task == "regression":
            return raw
        if self.setup.task == "multiclass":
            raised = np.exp(raw - raw.max(axis=1, keepdims=True))
            return raised / raised.sum(axis=1, keepdims=True)
        return 1 / (1 + np.exp(-raw))

    def save(self, folder: Path) -> None:
        write_arrays(folder / "model.safetensors", {**self.weights, **{f"scaler.{k}": v for k, v in self.scaler.state.items()}})

    def load(self, folder: Path) -> None:
        arrays = read_arrays(folder / "model.safetensors")
        self.scaler.state = {k.removeprefix("scaler."): v for k, v in arrays.items() if k.startswith("scaler.")}
        self.weights = {k: v for k, v in arrays.items() if not k.startswith("scaler.")}
