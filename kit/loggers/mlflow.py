"""MLflow's server at MLFLOW_TRACKING_URI, else its database competitions/NAME/mlflow.db."""

import os
from pathlib import Path

import mlflow  # noqa: F401  Lightning would say later that it is missing
from pytorch_lightning.loggers import MLFlowLogger

from kit.loggers import home_of, titles


class Mlflow(MLFlowLogger):
    def __init__(self, folder: Path):
        competition, run = titles(folder)
        address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home_of(folder) / 'mlflow.db'}"
        super().__init__(experiment_name=competition, run_name=run, tracking_uri=address)
