"""A made table for a sample of data: the target depends on two numbers, a category and a word; further columns are a date and noise."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kit.files import write_text


def write(folder: Path, task: Any, id: list[str], train: str, test: str, sample: str, rows: int) -> None:
    """Its three files in a folder; `sample` may be ""."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame({name: [f"{n:05d}" for n in random.permutation(rows) + 1] for name in id[:1] or ["row"]})
    size, age = random.normal(size=rows), random.uniform(18, 80, rows).round(1)
    colour = random.choice(["red", "green", "blue"], rows)
    words = random.choice(["old", "new", "small", "large", "plain", "fine"], (rows, 6))
    frame = frame.assign(
        size=np.where(random.random(rows) < 0.1, np.nan, size.round(4)),
        age=age,
        colour=colour,
        description=[" ".join(w) + " thing for sale here" for w in words],
        listed=pd.Timestamp("2018-01-01") + pd.to_timedelta(random.integers(0, 700, rows), unit="D"),
        noise=random.normal(size=rows).round(4),
    )
    signal = 1.5 * size + (age - 50) / 15 + 2 * (colour == "red") + (words == "fine").sum(axis=1)
    answers = _answers(task, signal + random.normal(scale=0.5, size=rows))
    held = random.random(rows) < 0.3
    files = {train: frame[~held].assign(**answers[~held]), test: frame[held]}
    if sample:
        guess = answers[held].iloc[:1]
        files[sample] = frame[held].iloc[:, :1].assign(**{c: guess[c].iloc[0] for c in guess})
    for name, part in files.items():
        write_text(Path(folder) / name, part.to_csv(index=False, lineterminator="\n"))


def _answers(task: Any, signal: np.ndarray) -> pd.DataFrame:
    kind, targets = type(task).__name__, task.targets
    ranks = pd.Series(signal).rank(pct=True).to_numpy()
    if kind == "Regression":
        return pd.DataFrame({t: (np.exp(signal / 3 + n) * 10).round(3) for n, t in enumerate(targets)})
    if kind == "Multilabel" and len(targets) > 1:
        return pd.DataFrame({t: (ranks > (n + 1) / (len(targets) + 1)).astype(int) for n, t in enumerate(targets)})
    if kind == "Multilabel":
        return pd.DataFrame({targets[0]: [task.separator.join(w for w, least in (("a", 0.3), ("b", 0.6)) if r > least) for r in ranks]})
    if kind == "Multiclass":
        return pd.DataFrame({targets[0]: np.array(["low", "middle", "high"])[np.minimum((ranks * 3).astype(int), 2)]})
    return pd.DataFrame({targets[0]: (ranks > 0.6).astype(int)})
