"""What each peer is given: a table's two files, its metric, seconds and a seed; what it writes: a submission in the sample's layout.

    python with_NAME.py FOLDER TARGET METRIC SECONDS SUBMISSION
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

_SHARES = ("auc", "log_loss", "average_precision")


@dataclass
class Table:
    """
    kind     binary, multiclass or regression
    x, xt    training and test rows without id and target; text as categories that both know
    y        (n,) log(1 + y) where the metric is of logarithms, since the peers have no such metric
    """

    kind: str
    metric: str
    seconds: float
    x: pd.DataFrame
    y: pd.Series
    xt: pd.DataFrame
    sample: pd.DataFrame
    submission: Path

    def write(self, given: np.ndarray, classes: list[str] = []) -> None:
        """given  (n,) values or labels, or (n, classes) shares"""
        out = self.sample.copy()
        if self.metric == "rmsle":
            given = np.maximum(np.expm1(given), 0.0)
        if self.kind == "multiclass" and self.metric in _SHARES:
            for n, name in enumerate(classes):
                out[name] = given[:, n]
        elif self.kind == "binary":
            out[out.columns[1]] = given[:, [str(c) for c in classes].index("1")]
        else:
            out[out.columns[1]] = given
        out.to_csv(self.submission, index=False)


def asked() -> Table:
    folder, target, metric, seconds, submission = sys.argv[1:]
    train, test = (pd.read_csv(Path(folder) / f"{part}.csv") for part in ("train", "test"))
    sample = pd.read_csv(Path(folder) / "sample_submission.csv")
    y, x, xt = train[target], train.drop(columns=["id", target]), test.drop(columns="id")
    for name in x.select_dtypes(exclude=["number", "bool"]):
        levels = sorted({*x[name].dropna().astype(str), *xt[name].dropna().astype(str)})
        for frame in (x, xt):
            frame[name] = pd.Categorical(frame[name].astype(str).where(frame[name].notna()), categories=levels)
    kind = "regression" if metric in ("rmsle", "mae", "rmse") else "binary" if y.nunique() == 2 else "multiclass"
    y = np.log1p(y) if metric == "rmsle" else y if kind == "regression" else y.astype(str)
    return Table(kind, metric, float(seconds), x, y, xt, sample, Path(submission))
