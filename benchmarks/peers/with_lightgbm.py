"""Plain LightGBM as most would call it: rounds by early stopping on a fifth of the rows, then all rows; categories as they are."""

import sys
import time
from pathlib import Path

import lightgbm
from sklearn.model_selection import train_test_split

sys.path.insert(0, str(Path(__file__).parent))
from _table import asked  # noqa: E402


class Stop:
    """Ends the training when its share of the time is up."""

    before_iteration = False
    order = 40

    def __init__(self, seconds: float):
        self.until = time.monotonic() + seconds

    def __call__(self, env: "lightgbm.callback.CallbackEnv") -> None:
        if time.monotonic() > self.until:
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list or [])


def main() -> None:
    table = asked()
    kind = lightgbm.LGBMRegressor if table.kind == "regression" else lightgbm.LGBMClassifier
    options = {"learning_rate": 0.05, "n_jobs": 2, "random_state": 0, "verbose": -1}
    if table.metric == "mae":
        options["objective"] = "l1"
    parts = train_test_split(table.x, table.y, test_size=0.2, random_state=0, stratify=None if table.kind == "regression" else table.y)
    x, watched, y, watched_y = parts
    first = kind(n_estimators=5_000, **options)
    first.fit(x, y, eval_set=[(watched, watched_y)], callbacks=[lightgbm.early_stopping(100, verbose=False), Stop(0.45 * table.seconds)])
    model = kind(n_estimators=first.best_iteration_ or first.n_estimators_, **options)
    model.fit(table.x, table.y, callbacks=[Stop(0.45 * table.seconds)])
    if table.kind == "regression" or table.metric == "f1_macro":
        table.write(model.predict(table.xt))
    else:
        table.write(model.predict_proba(table.xt), [str(c) for c in model.classes_])


if __name__ == "__main__":
    main()
