"""Freesound: blank answers are padding; and a sample with the column of verified labels, some wrong ones among the others, and three empty files among the test clips."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.audio import Audio
from kit.files import write_text

EMPTY = bytes.fromhex("52494646 24000000 57415645 666d7420 10000000 0100 0100 44ac0000 88580100 0200 1000 64617461 00000000")  # a header, and no sound


class Freesound(Audio):
    def sample_name(self, n: int) -> str:
        return f"{n * 0x9E3779B1 % (1 << 32):08x}.wav"

    def truth(self, raw: pd.DataFrame, source: str = "the answers") -> pd.DataFrame:
        """In an answers file a blank label is padding, which is not scored; a training clip without one is a mistake."""
        return super().truth(raw if source == self.train_file else raw[raw["label"].fillna("") != ""], source)

    def write_sample(self, folder: Path, rows: int = 240) -> None:
        """As kit/adapters/image.py writes it; then a third of the labels are not verified, and a fifth of those are wrong."""
        super().write_sample(folder, rows)
        random, folder = np.random.default_rng(1), Path(folder)
        train = pd.read_csv(folder / self.train_file).assign(manually_verified=lambda t: (random.random(len(t)) < 0.67).astype(int))
        labels = train["label"].value_counts().index
        wrong = (train["manually_verified"] == 0) & (random.random(len(train)) < 0.2)
        train.loc[wrong, "label"] = random.choice(labels, int(wrong.sum()))
        empty = [self.sample_name(n) for n in range(rows * 10, rows * 10 + 3)]
        for name in empty:
            (folder / "audio_test" / name).write_bytes(EMPTY)
        listed = sorted([*pd.read_csv(folder / self.sample_file)["fname"], *empty])
        write_text(folder / self.train_file, train.to_csv(index=False, lineterminator="\n"))
        write_text(folder / self.sample_file, pd.DataFrame({"fname": listed, "label": " ".join(labels[:3])}).to_csv(index=False, lineterminator="\n"))
