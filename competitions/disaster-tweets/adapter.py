"""Disaster tweets: the files are a plain table; what is here only writes a sample of them."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.tabular import Tabular
from kit.files import write_text

_KEYWORDS = ["ablaze", "collapse", "flood", "storm", "wreck", "siren"]
_REAL = [
    "Residents of {place} told to leave their homes as the {word} spreads",
    "At least {n} hurt in the {word} near {place}, police say",
    "Rescue teams reach {place} after last night's {word}",
    "Roads closed around {place}: {word} reported, {n} houses damaged",
]
_OTHER = [
    "my phone is a total {word} today lol",
    "that new album is pure {word} and i love all {n} songs",
    "{word} of emails again this monday, send coffee",
    "can't believe how good this {word} of a movie was, {n}/10",
]
_PLACES = ["Ohio", "Kyiv", "Lima", "Leeds", "Osaka", "Perth"]


class DisasterTweets(Tabular):
    def write_sample(self, folder: Path, rows: int = 300) -> None:
        """Made tweets in the real layout: each word of alarm is meant in earnest or is a figure of speech, and the rest of the tweet tells."""
        random = np.random.default_rng(0)
        real = random.random(rows) < 0.43
        word, place = random.choice(_KEYWORDS, rows), random.choice(_PLACES, rows)
        texts = [
            str(random.choice(_REAL if r else _OTHER)).format(word=w, place=p, n=random.integers(2, 40)) for r, w, p in zip(real, word, place)
        ]
        frame = pd.DataFrame(
            {
                "id": np.cumsum(random.integers(1, 3, rows)),  # with gaps, as the host's
                "keyword": np.where(random.random(rows) < 0.1, "", word),
                "location": np.where(random.random(rows) < 0.3, "", random.choice(_PLACES, rows)),
                "text": texts,
                "target": np.where(random.random(rows) < 0.05, ~real, real).astype(int),  # some labels are wrong
            }
        )
        held = random.random(rows) < 0.3
        test = frame[held].drop(columns="target")
        for name, part in {self.train_file: frame[~held], self.test_file: test, self.sample_file: test[["id"]].assign(target=0)}.items():
            write_text(folder / name, part.to_csv(index=False, lineterminator="\n"))
