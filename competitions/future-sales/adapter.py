"""Future sales: shops that changed their name are in Kaggle's list twice."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from kit.adapters.panel import Panel
from kit.files import write_text


class FutureSales(Panel):
    def aliases(self, tables: dict[str, pd.DataFrame]) -> dict[str, dict[str, str]]:
        """Shops whose names are the same but for marks, 0 and 57, 1 and 58, 10 and 11: the later number stands for both."""
        shops = tables["shops.csv"]
        return {"shop_id": _same(dict(zip(shops["shop_id"], shops["shop_name"])))}

    def write_sample(self, folder: Path, rows: int = 24) -> None:
        """Made sales, with the names of shops, items and categories; shop 5 stood in the list as shop 0 before."""
        super().write_sample(folder, rows)
        kind = np.arange(rows) // 4
        cities = ["!Omsk Lenina 1 fran", "Moscow Arbat", "Moscow Mega", "Perm Centre", "Perm Raduga", "Omsk Lenina 1"]
        files = {
            "shops.csv": pd.DataFrame({"shop_name": [c.replace("fran", "фран") for c in cities], "shop_id": np.arange(len(cities))}),
            "items.csv": pd.DataFrame({"item_name": [f"Thing {n}, {['disc', 'book', 'game'][n % 3]}" for n in range(rows)], "item_id": np.arange(rows), "item_category_id": kind}),
            "item_categories.csv": pd.DataFrame({"item_category_name": [f"{'Books' if k % 2 else 'Games'} - kind {k}" for k in range(kind[-1] + 1)], "item_category_id": np.arange(kind[-1] + 1)}),
        }
        for name, frame in files.items():
            write_text(folder / name, frame.to_csv(index=False, lineterminator="\n"))


def _same(names: dict[str, str]) -> dict[str, str]:
    """Number -> the last number with the same name, for those that are not the last."""
    known: dict[str, list[str]] = {}
    for number, name in names.items():
        known.setdefault(_plain(name), []).append(number)
    return {number: numbers[-1] for numbers in known.values() for number in numbers[:-1]}


def _plain(name: str) -> str:
    """A shop's name without marks, without the word for a franchise, and without the sign of square metres or what is left of it."""
    return " ".join(re.sub(r"[^\w\s]|²|\bфран\b", " ", name.lower()).split())
