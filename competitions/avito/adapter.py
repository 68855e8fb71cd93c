"""Avito: what an advert's own cells, its user's and its category's other adverts tell; no answer is looked at."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.image import Image

from . import _sample, active

PARAMETERS = ["param_1", "param_2", "param_3"]
KEYS = {"user": "user_id", "category": "category_name", "title": "title"}  # word in a feature's name -> column of the active files
OWN = ["log_price", "params", "title_words", "title_capitals", "description_words", "description_lines", "description_digits", "missing_cells"]
AMONG_ALL = [
    "user_adverts", "user_categories", "user_titles", "user_last_number", "price_to_user", "price_to_category", "price_to_params", "price_to_title",
    "title_adverts", "description_adverts", "params_adverts",
]  # fmt: skip


class Avito(Image):
    exceptions = [
        "counts and median prices of a user, a category and a title are over training and test rows",
        "what the active adverts and their periods tell is taken from the files of both parts; none of them holds an answer",
    ]
    _told: dict[str, pd.DataFrame] | None = None

    # --- files -------------------------------------------------------------------------------------------------------------------

    def train_files(self) -> list[Path]:
        return [*super().train_files(), *self._unasked()]

    def test_files(self) -> list[Path]:
        return [*super().test_files(), *self._unasked()]

    def _unasked(self) -> list[Path]:
        named = [f"{part}_active.csv" for part in active.PARTS] + [f"periods_{part}.csv" for part in active.PARTS]
        return self._tables(*(name for name in named if active.is_there(self.data / name)))

    # --- features ----------------------------------------------------------------------------------------------------------------

    def made_features(self) -> list[str]:
        return [*OWN, *AMONG_ALL, *(f"{word}_{measure}" for word in KEYS for measure in active.MEASURES)]

    def features(self, rows: pd.DataFrame, everyone: pd.DataFrame) -> pd.DataFrame:
        if self._told is None:
            wanted = {column: pd.Index(everyone[column].dropna().unique()) for column in KEYS.values()}
            self._told, notes = active.told(self.data, wanted)
            self.notes += notes
        rows, everyone = _with_own(rows), _with_own(everyone[[*PARAMETERS, "user_id", "category_name", "title", "description", "price", "item_seq_number"]])
        rows = rows.assign(**_among_all(rows, everyone))
        return rows.assign(**{name: values for word, column in KEYS.items() if column in self._told for name, values in self._known(rows, word, column).items()})

    def _known(self, rows: pd.DataFrame, word: str, column: str) -> dict[str, pd.Series]:
        """What the active files tell of the rows' values in a column; prices as the distance to their mean."""
        found = {f"{word}_{measure}": rows[column].map(values) for measure, values in self._told[column].items()}
        found[f"{word}_active"] = np.log1p(found[f"{word}_active"].fillna(0))
        found[f"{word}_log_price"] = rows["log_price"] - found[f"{word}_log_price"]
        return found

    # --- a sample of data --------------------------------------------------------------------------------------------------------

    def write_sample(self, folder: Path, rows: int = 360) -> None:
        """Made adverts in the files of Kaggle's names: what is sold, how it is praised, its price and its picture all count."""
        _sample.write(folder, rows, self.places)


def _with_own(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what their own cells tell."""
    title, description = rows["title"].fillna(""), rows["description"].fillna("")
    told = [rows[name].fillna("") for name in PARAMETERS]
    return rows.assign(
        log_price=np.log1p(rows["price"].clip(lower=0)),
        params=(told[0] + " " + told[1] + " " + told[2]).str.strip(),
        title_words=title.str.count(r"\S+"),
        title_capitals=title.str.count(r"[A-ZА-ЯЁ]") / title.str.len().clip(lower=1),
        description_words=description.str.count(r"\S+"),
        description_lines=description.str.count("\n"),
        description_digits=description.str.count(r"\d") / description.str.len().clip(lower=1),
        missing_cells=rows[[*PARAMETERS, "description", "price"]].isna().sum(axis=1),
    )


def _among_all(rows: pd.DataFrame, everyone: pd.DataFrame) -> dict[str, pd.Series]:
    """What the training and test rows together tell of a row: how many are like it, and what those cost."""
    users = everyone.groupby("user_id")
    kinds = {"category": ["category_name"], "params": ["category_name", "params"], "title": ["title"], "user": ["user_id"]}
    priced = {f"price_to_{word}": rows["log_price"] - _median_price(rows, everyone, columns) for word, columns in kinds.items()}
    counts = {f"{word}_adverts": np.log1p(rows[column].map(everyone[column].value_counts())) for word, column in
              {"user": "user_id", "title": "title", "description": "description", "params": "params"}.items()}  # fmt: skip
    return {
        **counts,
        "user_categories": rows["user_id"].map(users["category_name"].nunique()),
        "user_titles": rows["user_id"].map(users["title"].nunique() / users.size()),
        "user_last_number": np.log1p(rows["user_id"].map(users["item_seq_number"].max())),
        **priced,
    }


def _median_price(rows: pd.DataFrame, everyone: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """(n,) the median log price of those that agree with a row in these columns."""
    medians = everyone.groupby(columns)["log_price"].median()
    wanted = pd.MultiIndex.from_frame(rows[columns]) if len(columns) > 1 else pd.Index(rows[columns[0]])
    return medians.reindex(wanted).to_numpy()
