"""Ridge regression or logistic regression on one-hot, scaled features; the strength of the penalty is chosen inside the training rows."""

import warnings
from pathlib import Path

import numpy as np
import scipy.sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, ElasticNetCV, LogisticRegression, Ridge
from sklearn.model_selection import KFold, StratifiedKFold

from kit.encoders import Examples, Features
from kit.errors import ConfigError
from kit.estimators import Setup, read_arrays, write_arrays
from kit.estimators._matrix import Scaler
from kit.files import read_json, write_json
from kit.space import Choice, Real

_PENALTIES = [0.03, 0.3, 3.0, 30.0, 300.0]
_FINER = 10**0.5  # the best of them is compared with its neighbours at this distance
_LABELS_ASKED = 8  # the commonest labels, that the penalty is chosen on
_ROUNDS = 300  # of the optimiser, at most
_MUCH_WORK = 2e8  # values x outputs
_ROWS_ASKED = 4_000


class Linear:
    watches = False
    space = {"penalty": Real(1e-2, 1e3, log=True), "skewed": Choice((0.0, 0.5, 1.0, 2.0))}

    def __init__(self, setup: Setup, *, penalty: float = 0.0, sparse: float = 0.0, skewed: float = 1.0):
        """
        penalty  strength of the L2 penalty (ridge alpha; for classes 1 / C); 0 chooses it by inner cross-validation
        sparse   share of L1 in the penalty of a regression (elastic net), 0..1
        skewed   numbers whose skewness exceeds this go through the signed log1p; 0 is none
        """
        self.setup, self.penalty, self.sparse = setup, penalty, sparse
        self.scaler = Scaler(skewed=skewed, even=True)
        self.weights: dict[str, np.ndarray] = {}
        self.importances: dict[str, float] = {}
        usual = {"binary": "bce", "multilabel": "bce", "multiclass": "cross_entropy", "regression": "mse"}[setup.task]
        if setup.loss not in (usual, "mae"):  # a line through the means stands in for one through the medians
            raise ConfigError(f'train.loss = "{setup.loss}": model "linear" minimises {usual}')

    def fit(self, train: Examples, found: dict) -> None:
        self.scaler.fit(train.features)
        x = self.scaler.transform(train.features)
        target = train.target.reshape(len(train), -1)
        fits = []
        if self.setup.task == "regression":
            fits = [self._regression(x, column, train.weight) for column in target.T]
        else:
            penalty = self.penalty or self._best_penalty(x, target, train.weight)
            fits = [self._classes(x, column, train.weight, penalty) for column in target.T]
        self.weights = {"coef": np.vstack([np.atleast_2d(c) for c, _ in fits]), "intercept": np.concatenate([np.atleast_1d(i) for _, i in fits])}
        self.importances = self._brought(x, train.features)

    def _brought(self, x, features: Features) -> dict[str, float]:
        """Share of each column in what all columns bring: the deviation over training rows of its part of the sum, mean over the outputs."""
        x = x[np.linspace(0, x.shape[0] - 1, min(x.shape[0], _ROWS_ASKED)).astype(np.int64)]
        if scipy.sparse.issparse(x):
            x = x.tocsc()
        spreads = {}
        for owner, at in self.scaler.owners(features).items():
            coef = self.weights["coef"][:, at[0] : at[-1] + 1] if at[-1] - at[0] == len(at) - 1 else self.weights["coef"][:, at]
            if len(at) == 1:  # of one column the deviation is known before it is weighed
                own = x[:, at].toarray() if scipy.sparse.issparse(x) else x[:, at]
                spreads[owner] = float(own.std() * np.abs(coef).mean())
            else:
                spreads[owner] = float((x[:, at] @ coef.T).std(axis=0).mean())
        total = sum(spreads.values()) or 1.0
        return {k: v / total for k, v in sorted(spreads.items(), key=lambda item: -item[1])}

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
        return LogisticRegression(C=1 / penalty, max_iter=_ROUNDS, tol=1e-4, random_state=self.setup.seed)

    def _best_penalty(self, x, target: np.ndarray, weight: np.ndarray | None) -> float:
        """Least log loss of held-out rows, the same for all labels: of many labels some are asked, of much work a share of the rows."""
        labels = np.argsort(-target.sum(axis=0), kind="stable")[:_LABELS_ASKED] if target.shape[1] > 1 else [0]
        outputs = self.setup.outputs if self.setup.task == "multiclass" else len(labels)
        wide = scipy.sparse.issparse(x)
        rows, splits = np.arange(len(target)), 1 if wide else 3  # a fit on n-grams is slow, and a third of the rows tells enough
        if (x.nnz if wide else x.size) * outputs > _MUCH_WORK:
            rows, splits = np.sort(np.random.default_rng(self.setup.seed).permutation(len(target))[:_ROWS_ASKED]), 1
        inner = []
        for y in (target[rows, label] for label in labels):
            inner += [(rows[train], rows[valid], y[train], y[valid]) for train, valid in self._cuts(y)[:splits] if len(np.unique(y[train])) > 1]
        losses: dict[float, float] = {}
        for penalty in _PENALTIES:
            losses[penalty] = self._held_out(x, weight, inner, penalty)
        best = min(losses, key=losses.get)
        for penalty in (best / _FINER, best * _FINER):
            losses[penalty] = self._held_out(x, weight, inner, penalty)
        return min(losses, key=losses.get)

    def _cuts(self, y: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        rarest = int(np.unique(y, return_counts=True)[1].min())
        folds = (StratifiedKFold if rarest >= 3 else KFold)(3, shuffle=True, random_state=self.setup.seed)
        return list(folds.split(np.zeros(len(y)), y))

    def _held_out(self, x, weight: np.ndarray | None, inner: list[tuple[np.ndarray, ...]], penalty: float) -> float:
        """The log loss of the held-out rows, summed; of a class that no training row has, as if it were given 1e-15.

        inner  (training rows, held-out rows, the answers of either) for each cut of each label
        """
        loss = 0.0
        for train, valid, y, truth in inner:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model = self._logistic(penalty).fit(x[train], y, sample_weight=None if weight is None else weight[train])
            place = {c: k for k, c in enumerate(model.classes_)}
            p = model.predict_proba(x[valid])
            loss -= sum(np.log(max(p[i, place[c]], 1e-15)) if c in place else np.log(1e-15) for i, c in enumerate(truth))
        return loss

    def _classes(self, x, y: np.ndarray, weight: np.ndarray | None, penalty: float):
        if len(np.unique(y)) < 2:  # a label that all training rows have, or none
            return np.zeros((1, x.shape[1])), np.array([30.0 if y[0] else -30.0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = self._logistic(penalty).fit(x, y, sample_weight=weight)
        if model.n_iter_.max() >= _ROUNDS:
            self.setup.progress(f"linear  stopped after {_ROUNDS} rounds, a little before its best for the training rows; a model.penalty above {penalty:g} comes there sooner")
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
        write_json(folder / "model.json", {"importances": self.importances})

    def load(self, folder: Path) -> None:
        arrays = read_arrays(folder / "model.safetensors")
        self.scaler.state = {k.removeprefix("scaler."): v for k, v in arrays.items() if k.startswith("scaler.")}
        self.weights = {k: v for k, v in arrays.items() if not k.startswith("scaler.")}
        self.importances = read_json(folder / "model.json")["importances"] if (folder / "model.json").is_file() else {}  # a run of kit 0.1 has none
