"""TensorBoard's files in logs/tensorboard of each fold: tensorboard --logdir competitions/NAME/runs."""

from pathlib import Path

import tensorboard  # noqa: F401  Lightning would say later that it is missing
from pytorch_lightning.loggers import TensorBoardLogger


class Tensorboard(TensorBoardLogger):
    def __init__(self, folder: Path):
        super().__init__(folder / "logs", name="", version="tensorboard", default_hp_metric=False)
