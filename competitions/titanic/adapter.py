"""Titanic's features: titles, cabins, and who travelled together."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.tabular import Tabular
from kit.files import write_text


class Titanic(Tabular):
    exceptions = ["TicketSize and FarePerPerson count a ticket's passengers over training and test rows, without labels"]

    def made_features(self) -> list[str]:
        return ["Title", "Deck", "FamilySize", "TicketSize", "FarePerPerson", "Party", "Family"]

    def features(self, rows: pd.DataFrame, everyone: pd.DataFrame) -> pd.DataFrame:
        title = rows["Name"].str.extract(r", ([^.]*)\.", expand=False)
        surname = rows["Name"].str.split(",").str[0]
        rows["Title"] = title.replace({"Mlle": "Miss", "Ms": "Miss", "Mme": "Mrs"}).where(lambda t: t.isin(["Mr", "Miss", "Mrs", "Master"]), "Rare")
        rows["Deck"] = rows["Cabin"].str[0]
        rows["FamilySize"] = rows["SibSp"] + rows["Parch"] + 1
        rows["TicketSize"] = rows["Ticket"].map(everyone["Ticket"].value_counts())  # a party's size, over train and test rows
        rows["FarePerPerson"] = rows["Fare"] / rows["TicketSize"]
        together = (rows["Sex"] == "female") | (rows["Title"] == "Master")  # women and children of a party met one fate; men did not
        rows["Party"] = rows["Ticket"].where(together)
        rows["Family"] = (surname + " " + rows["Fare"].astype(str)).where(together)
        return rows

    def write_sample(self, folder: Path, rows: int = 300) -> None:
        """Made passengers in the real layout: women, the first class and the young fare better, and families share tickets."""
        random = np.random.default_rng(0)
        family = np.sort(random.integers(0, rows * 2 // 3, rows))
        size = pd.Series(family).map(pd.Series(family).value_counts()).to_numpy()
        level, female, age = random.integers(1, 4, rows), random.random(rows) < 0.4, random.uniform(1, 70, rows).round()
        fare = np.round(80 / level**2 * size, 4)
        luck = 2.5 * female - level - (age > 50) + random.normal(scale=0.7, size=rows)
        frame = pd.DataFrame(
            {
                "PassengerId": random.permutation(rows) + 1,
                "Survived": (luck > -1.2).astype(int),
                "Pclass": level,
                "Name": [f"Family{f}, {'Mrs' if w else 'Master' if a < 13 else 'Mr'}. Person {n}" for n, (f, w, a) in enumerate(zip(family, female, age))],
                "Sex": np.where(female, "female", "male"),
                "Age": np.where(random.random(rows) < 0.2, np.nan, age),
                "SibSp": size - 1,
                "Parch": 0,
                "Ticket": [f"A/5 {f}" for f in family],
                "Fare": fare,
                "Cabin": np.where(level == 1, "C85", ""),
                "Embarked": random.choice(["S", "C", "Q"], rows),
            }
        ).sort_values("PassengerId")
        held = frame["PassengerId"] > rows * 2 // 3
        test = frame[held].drop(columns="Survived")
        for name, part in {
            self.train_file: frame[~held],
            self.test_file: test,
            self.sample_file: test[["PassengerId"]].assign(Survived=(test["Sex"] == "female").astype(int)),
        }.items():
            write_text(folder / name, part.to_csv(index=False, lineterminator="\n"))
