"""Spooky authors: the files are a plain table; what is here only writes a sample of them."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.tabular import Tabular
from kit.files import write_text

_AUTHORS = {  # words that each likes, made up for the sample
    "EAP": "chamber midnight raven pallid phantasm sepulchre melancholy whisper",
    "HPL": "cyclopean eldritch gibbous nameless fathom tentacle blasphemous abyss",
    "MWS": "benevolent creature alpine sorrow companion wretch gentle glacier",
}
_COMMON = ["the", "and", "of", "a", "that", "upon", "with", "which", "was", "had", "from", "but", "night", "house", "door", "man", "long", "dark", "old", "came"]


class SpookyAuthor(Tabular):
    def write_sample(self, folder: Path, rows: int = 300) -> None:
        """Made sentences in the real layout: most hold some words that their author likes, some hold another's."""
        random = np.random.default_rng(0)
        names = list(_AUTHORS)
        author = random.choice(names, rows, p=[0.4, 0.29, 0.31])
        frame = pd.DataFrame(
            {
                "id": [f"id{n:05d}" for n in random.permutation(30_000)[:rows]],
                "text": [self._sentence(random, a if random.random() < 0.85 else str(random.choice(names))) for a in author],
                "author": author,
            }
        )
        held = random.random(rows) < 0.3
        test = frame[held].drop(columns="author")
        sample = test[["id"]].assign(**{name: share for name, share in zip(names, (0.4034, 0.2878, 0.3088))})
        for name, part in {self.train_file: frame[~held], self.test_file: test, self.sample_file: sample}.items():
            write_text(folder / name, part.to_csv(index=False, lineterminator="\n"))

    @staticmethod
    def _sentence(random: np.random.Generator, author: str) -> str:
        words = [*random.choice(_COMMON, random.integers(6, 16)), *random.choice(_AUTHORS[author].split(), random.integers(1, 4))]
        return " ".join(random.permutation(words)).capitalize() + "."
