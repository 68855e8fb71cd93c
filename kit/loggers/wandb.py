"""Weights & Biases: files in logs/wandb of each fold that `wandb sync` sends, or at once where WANDB_MODE says online."""

import os
from pathlib import Path

import wandb  # noqa: F401  Lightning would say later that it is missing
from pytorch_lightning.loggers import WandbLogger

from kit.loggers import titles


class Wandb(WandbLogger):
    def __init__(self, folder: Path):
        competition, run = titles(folder)
        room = folder / "logs" / "wandb"
        room.mkdir(parents=True, exist_ok=True)  # the library would write into the system's temporary folder
        super().__init__(name=run, project=competition, save_dir=room, offline="WANDB_MODE" not in os.environ)

    def finalize(self, status: str) -> None:
        """Ends the library's run, which the next fold would write into otherwise."""
        super().finalize(status)
        if self._experiment is not None:
            self.experiment.finish()
