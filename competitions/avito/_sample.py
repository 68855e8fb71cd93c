"""Made adverts in the files of Avito's names: what is sold, how it is praised, its price and its picture's shape all count."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from kit.adapters import _sample
from kit.adapters._places import Places
from kit.files import whole, write_text

GOODS = {  # category -> its parent, what is sold, the usual price in roubles and how well that sells
    "Мебель и интерьер": ("Для дома и дачи", ["Диван", "Шкаф", "Стол"], 6000, 0.3),
    "Детская одежда": ("Личные вещи", ["Платье", "Куртка", "Комбинезон"], 700, 0.05),
    "Телефоны": ("Бытовая электроника", ["Смартфон", "Телефон", "Планшет"], 5000, 0.45),
    "Предложение услуг": ("Услуги", ["Ремонт", "Перевозки", "Уроки"], 1000, 0.6),
}
PRAISE = {"срочно, торг": 0.2, "почти новый": 0.1, "в хорошем состоянии": 0.0, "требует ремонта": -0.2}
CITIES = {"Москва": "Московская область", "Казань": "Татарстан", "Омск": "Омская область"}
DAYS = {"train": ("2017-03-15", 24), "test": ("2017-04-12", 9)}


def write(folder: Path, rows: int, places: Places) -> None:
    """
    rows    adverts, three tenths of them to predict
    places  of the pictures
    """
    random = np.random.default_rng(0)
    folder = Path(folder)
    counts = {"train": rows - rows * 3 // 10, "test": rows * 3 // 10}
    for part, n in counts.items():
        adverts, drawn = _adverts(random, part, n)
        _write_pictures(folder, places, part, {name: shape for name, shape in zip(adverts["image"], drawn) if name}, random)
        answers = adverts.pop("deal_probability")
        _write(folder / f"{part}.csv", adverts.assign(deal_probability=answers) if part == "train" else adverts)
        others, _ = _adverts(random, part, n // 2, users=adverts["user_id"].unique())
        others = others.drop(columns=["image", "image_top_1", "deal_probability"])
        _write(folder / f"{part}_active.csv", others)
        _write(folder / f"periods_{part}.csv", _periods(random, others))
    _write(folder / "sample_submission.csv", adverts[["item_id"]].assign(deal_probability=0))


def _adverts(random: np.random.Generator, part: str, n: int, users: np.ndarray | None = None) -> tuple[pd.DataFrame, np.ndarray]:
    """(n rows of all columns, the shape that each one's picture shows).

    users  whose adverts they are; None makes new ones, a third as many as rows
    """
    users = _hexadecimal(random, n // 3 + 1, 12) if users is None else users
    category, city = (random.choice(list(names), n) for names in (GOODS, CITIES))
    parent, goods, usual, sells = (np.array([GOODS[c][k] for c in category], dtype=object) for k in range(4))
    thing = [random.choice(names) for names in goods]
    praise, shape = random.choice(list(PRAISE), n), random.choice(_sample.SHAPES, n)
    dearness = random.normal(0, 0.7, n)
    first, days = DAYS[part]
    date = pd.Timestamp(first) + pd.to_timedelta(random.integers(0, days, n), unit="D")
    luck = sells.astype(float) + [PRAISE[p] for p in praise] - 0.15 * dearness + 0.15 * np.isin(shape, _sample.SHAPES[:2])
    pictured = random.random(n) > 0.1
    answer = np.where(luck > 0.1, luck + random.normal(0, 0.05, n), 0.0).clip(0, 0.9).round(5)
    adverts = {
        "item_id": _hexadecimal(random, n, 12),
        "user_id": random.choice(users, n),
        "region": [CITIES[c] for c in city],
        "city": city,
        "parent_category_name": parent,
        "category_name": category,
        "param_1": thing,
        "param_2": np.where(random.random(n) < 0.4, "", random.choice(["Женское", "Мужское", "Другое"], n)),
        "param_3": np.where(random.random(n) < 0.6, "", random.choice(["40", "42", "44-46"], n)),
        "title": [f"{t} {p}" for t, p in zip(thing, praise)],
        "description": np.where(random.random(n) < 0.08, "", [f"Продам: {t.lower()}, {p}.\nЗвоните в любое время!" for t, p in zip(thing, praise)]),
        "price": np.where(random.random(n) < 0.05, np.nan, (usual.astype(float) * np.exp(dearness)).round()),
        "item_seq_number": random.integers(1, 400, n),
        "activation_date": date.strftime("%Y-%m-%d"),
        "user_type": random.choice(["Private", "Company", "Shop"], n, p=[0.7, 0.23, 0.07]),
        "image": np.where(pictured, _hexadecimal(random, n, 64), ""),
        "image_top_1": np.where(pictured, [list(GOODS).index(c) * 100 + 11 for c in category], np.nan),
        "deal_probability": answer,
    }
    return pd.DataFrame(adverts), shape


def _periods(random: np.random.Generator, adverts: pd.DataFrame) -> pd.DataFrame:
    """One or two periods of each advert, of one to two weeks."""
    listed = adverts.loc[adverts.index.repeat(random.integers(1, 3, len(adverts))), ["item_id", "activation_date"]]
    begun = pd.to_datetime(listed["activation_date"]) + pd.to_timedelta(14 * listed.groupby("item_id").cumcount(), unit="D")
    ended = begun + pd.to_timedelta(random.integers(7, 14, len(listed)), unit="D")
    return listed.assign(date_from=begun.dt.strftime("%Y-%m-%d"), date_to=ended.dt.strftime("%Y-%m-%d"))


def _hexadecimal(random: np.random.Generator, n: int, digits: int) -> np.ndarray:
    return np.array(["".join(row) for row in random.choice(list("0123456789abcdef"), (n, digits))])


def _write_pictures(folder: Path, places: Places, part: str, shapes: dict[str, str], random: np.random.Generator) -> None:
    """An archive of pictures, name -> the shape that is drawn."""
    packed: dict[str, bytes] = {}
    archive = ""
    for name, shape in shapes.items():
        archive, _, inside = places.name(part, {"image": name}).partition(".zip/")
        jpeg = io.BytesIO()
        Image.fromarray(_sample.draw(random, shape, _sample.colour_of(random, shape))).save(jpeg, "JPEG", quality=90)
        packed[inside] = jpeg.getvalue()
    with whole(folder / f"{archive}.zip") as temporary, zipfile.ZipFile(temporary, "w") as opened:
        for inside, data in sorted(packed.items()):
            opened.writestr(zipfile.ZipInfo(inside, (2018, 1, 1, 0, 0, 0)), data)


def _write(path: Path, rows: pd.DataFrame) -> None:
    write_text(path, rows.to_csv(index=False, lineterminator="\n"))
