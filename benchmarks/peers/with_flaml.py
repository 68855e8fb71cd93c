"""FLAML's search over boosters, trees and linear models, ensembled by its own stack."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from _table import asked  # noqa: E402
from flaml import AutoML  # noqa: E402

METRICS = {"auc": "roc_auc", "average_precision": "ap", "f1_macro": "macro_f1", "rmsle": "rmse"}  # of rmsle the target comes as a logarithm


def main() -> None:
    table = asked()
    search = AutoML()
    task = "regression" if table.kind == "regression" else "classification"
    metric = METRICS.get(table.metric, table.metric)
    search.fit(table.x, table.y, task=task, metric=metric, time_budget=table.seconds, n_jobs=2, seed=0, verbose=1)
    if table.kind == "regression" or table.metric == "f1_macro":
        table.write(search.predict(table.xt))
    else:
        table.write(search.predict_proba(table.xt), list(search.classes_))


if __name__ == "__main__":
    main()
