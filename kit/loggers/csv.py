"""A table in logs/csv/metrics.csv of each fold."""

from pathlib import Path

from pytorch_lightning.loggers import CSVLogger


class Csv(CSVLogger):
    def __init__(self, folder: Path):
        super().__init__(folder / "logs", name="", version="csv", flush_logs_every_n_steps=1)
