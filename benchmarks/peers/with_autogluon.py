"""AutoGluon's tabular predictor with its strongest preset."""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from _table import asked  # noqa: E402
from autogluon.tabular import TabularPredictor  # noqa: E402

METRICS = {"auc": "roc_auc", "rmsle": "root_mean_squared_error", "mae": "mean_absolute_error"}  # of rmsle the target comes as a logarithm


def main() -> None:
    table = asked()
    with tempfile.TemporaryDirectory() as kept:
        predictor = TabularPredictor(label="target", problem_type=table.kind, eval_metric=METRICS.get(table.metric, table.metric), path=kept)
        predictor.fit(table.x.assign(target=table.y.to_numpy()), time_limit=table.seconds, presets="best_quality", num_cpus=2)
        if table.kind == "regression" or table.metric == "f1_macro":
            table.write(predictor.predict(table.xt).to_numpy())
        else:
            shares = predictor.predict_proba(table.xt)
            table.write(shares.to_numpy(), list(shares.columns))


if __name__ == "__main__":
    main()
