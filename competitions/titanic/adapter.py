"""Titanic's features: titles, cabins, and who travelled together."""

from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.tabular import Tabular
from kit.files import write_text


class Titanic(Tabular):
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
