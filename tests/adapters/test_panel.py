"""Panel: days of sales become months, and what the months before tell of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.adapters.panel import Panel
from kit.competition import open_competition
from kit.errors import ConfigError, DataError
from kit.folds import Rows, split
from kit.tasks.regression import Regression

OPTIONS = dict(keys=["shop", "item"], value="sold", price="price", priced="item", debut="item", clip=[0.0, 20.0], lags=[1, 2], windows=[2])
HEADER = "date,shop,item,price,sold"
SALES = [  # two shops and two items; item y comes in February, and shop b opens in March
    "2020-01-03,a,x,10,2", "2020-01-20,a,x,10,1",
    "2020-02-01,a,x,10,4", "2020-02-29,a,y,5,1",
    "2020-03-01,a,x,20,1", "2020-03-05,b,y,5,30", "2020-03-06,b,y,5,-2",
]  # fmt: skip
TEST = ["7,a,x", "07,b,x", "1,c,z"]


def write(folder: Path, sales: list[str] = SALES, test: list[str] = TEST, header: str = HEADER, **files: str) -> Path:
    (folder / "sales_train.csv").write_text("\n".join([header, *sales]) + "\n", encoding="utf-8")
    (folder / "test.csv").write_text("\n".join(["ID,shop,item", *test]) + "\n", encoding="utf-8")
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def panel(folder: Path, **options) -> Panel:
    return Panel(folder, Regression(target="month"), **{**OPTIONS, **options})


def made(folder: Path, **options) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(training rows, test rows) with all columns, those of one value too."""
    adapter = panel(folder, **options)
    sales, number, axes, others = adapter._read_all()
    months = range(1, sales.months)
    columns, asked = adapter._columns(sales, axes, number, months, others)
    return pd.DataFrame(columns, index=adapter._rows(sales, number, months).index), asked


# the grid


def test_a_month_has_all_combinations_of_what_was_sold_in_it(tmp_path):
    tables = panel(write(tmp_path)).tables()
    assert list(tables.train.index) == ["1/a/x", "1/a/y", "2/a/x", "2/a/y", "2/b/x", "2/b/y"]
    assert tables.truth["month"].tolist() == [4, 1, 1, 0, 0, 20]  # 30 sold, 2 brought back, clipped
    assert tables.roles["time"].tolist() == [1, 1, 2, 2, 2, 2]
    assert list(tables.test.index) == ["07", "1", "7"]


def test_first_says_where_training_rows_begin(tmp_path):
    write(tmp_path)
    assert set(panel(tmp_path, first=2).tables().roles["time"]) == {2}
    assert set(panel(tmp_path, first=-1).tables().roles["time"]) == {2}
    assert set(panel(tmp_path, first=-50).tables().roles["time"]) == {1, 2}  # month 0 has no past
    with pytest.raises(DataError, match=r"input\.first = 3: sales_train\.csv holds 3 months"):
        panel(tmp_path, first=3).tables()


def test_a_month_without_sales_has_no_rows_and_counts_as_one(tmp_path):
    write(tmp_path, [*SALES, "2020-05-01,a,x,10,1"])
    train, _ = made(tmp_path)
    assert set(train.index.str.split("/").str[0]) == {"1", "2", "4"}
    assert train.loc["4/a/x", "shop x item since last"] == 2 and train.loc["4/a/x", "shop x item lag 1"] == 0


def test_ids_stay_sorted_as_text_whatever_the_keys(tmp_path):
    sales = [f"2020-{month:02d}-01,{shop},{item},1,1" for month in range(1, 13) for shop in ("a", "a-1", "a 2") for item in ("x", "x!")]
    tables = panel(write(tmp_path, sales, ["1,a,x"])).tables()
    assert tables.train.index.is_monotonic_increasing and len(tables.train) == 11 * 6
    assert (tables.truth["id"] == tables.train.index).all()
    assert (tables.roles["time"].astype(str) == tables.train.index.str.split("/").str[0]).all()


def test_one_key_is_enough(tmp_path):
    sales = ["2020-01-01,a,x,1,2", "2020-02-01,a,x,1,3", "2020-02-01,b,x,1,5", "2020-03-01,a,x,1,1"]
    train, test = made(write(tmp_path, sales), keys=["shop"], price="", priced="", debut="")
    assert list(train.index) == ["1/a", "1/b", "2/a"]
    assert train["shop lag 1"].tolist()[::2] == [2, 3] and np.isnan(train.loc["1/b", "shop lag 1"])
    assert test.loc["7", "shop lag 1"] == 1


# what the months before tell


def test_columns_by_hand(tmp_path):
    train, test = made(write(tmp_path), fading=0.5)
    one = train.loc["2/a/x"]
    assert one["shop x item lag 1"] == 4 and one["shop x item lag 2"] == 3 and one["shop x item mean 2"] == 3.5
    assert one["shop x item recent mean"] == pytest.approx((4 / 29 + 0.5 * 3 / 31) / 1.5 * 31)  # a day of February, of January, for the days of March
    assert one["shop x item since first"] == 2 and one["shop x item since last"] == 1
    assert one["shop x item times lag 1"] == 1 and one["shop x item times mean 2"] == 1.5  # one sale of four, and two of three together
    assert one["shop x item times recent mean"] == pytest.approx((1 / 29 + 0.5 * 2 / 31) / 1.5 * 31)
    assert one["item price"] == pytest.approx(np.log(10)) and one["item price change"] == 0
    assert one["month"] == 3 and one["days"] == 31 and one["weekend days"] == 9
    assert train.loc["2/b/y"].filter(like="shop").isna().all()  # shop b opens that month
    assert train.loc["2/b/y", "item lag 1"] == 1 and train.loc["2/b/y", "shop x item lag 1"] is not None
    asked = test.loc["7"]  # a, x in April
    assert asked["shop x item lag 1"] == 1 and asked["shop lag 1"] == 0.5 and asked["item lag 1"] == 0.5  # of a's rows x and y, of x's rows a and b
    assert asked["item price change"] == pytest.approx(np.log(2)) and asked["all lag 1"] == 21 / 4
    assert test.loc["1"].drop([c for c in test if c.startswith("all") or c in ("month", "days", "weekend days")]).isna().all()  # nothing known of c and z


def test_what_is_expected_is_drawn_from_the_keys_and_from_the_rows_own(tmp_path):
    sales = ["2020-01-01,a,x,1,8", "2020-01-01,b,x,1,4", "2020-01-01,a,y,1,4", "2020-02-01,a,x,1,1"]
    _, test = made(write(tmp_path, sales, ["1,a,x", "2,b,y"]), smoothing=3.0, fading=1.0)
    # rows by their days: January a x 8, b x 4, a y 4, b y 0; February a x 1; shop a is in three of them, b in two; item x in three, y in two
    january, february = 16 / 31, 1 / 29
    factors = {"a": (12 / 31 + february) / 3, "b": 4 / 31 / 2, "all": (january + february) / 5}
    assert test.loc["1", "expected"] == pytest.approx(31 * factors["a"] ** 2 / factors["all"])  # a and x sold alike, and so did b and y
    assert test.loc["2", "expected"] == pytest.approx(31 * factors["b"] ** 2 / factors["all"])
    assert test.loc["1", "expected and own"] == pytest.approx((31 * (8 / 31 + 1 / 29) + 3 * test.loc["1", "expected"]) / (2 + 3))
    assert test.loc["2", "expected and own"] == pytest.approx((0 + 3 * test.loc["2", "expected"]) / (1 + 3))  # never sold in one month in which it might have been


def test_new_items_are_followed_by_shop_and_over_all(tmp_path):
    train, test = made(write(tmp_path))
    assert train.loc["2/a/x", "all debut mean"] == 1  # item y in February; of January nobody knows what was new
    assert np.isnan(train.loc["1/a/x", "all debut mean"])
    assert test.loc["7", "shop debut mean"] == 1 and "item debut mean" not in train


def slow_columns(sales: pd.DataFrame, month: int, shop: str, item: str) -> dict[str, float]:
    """A second way to some columns: frames filtered anew for each row."""
    before = sales[sales["month"] < month]

    def rows(of: pd.DataFrame) -> pd.DataFrame:
        grids = [
            pd.MultiIndex.from_product([[m], part["shop"].unique(), part["item"].unique()], names=["month", "shop", "item"]).to_frame(index=False)
            for m, part in of.groupby("month")
        ]
        totals = of.groupby(["month", "shop", "item"], as_index=False).agg(sold=("sold", "sum"), times=("sold", lambda sold: float((sold > 0).sum())))
        grid = pd.concat(grids).merge(totals, how="left").fillna({"sold": 0.0, "times": 0.0})
        return grid.assign(sold=grid["sold"].clip(0, 20))

    found = {}
    if not len(before):
        return found
    grid = rows(before)
    for name, kept in {"shop x item": (grid["shop"] == shop) & (grid["item"] == item), "item": grid["item"] == item, "shop": grid["shop"] == shop}.items():
        own = grid[kept]
        known = (own["sold"] > 0).any()
        for lag in (1, 2):
            then = own[own["month"] == month - lag]["sold"]
            found[f"{name} lag {lag}"] = np.nan if not known or month < lag else then.mean() if len(then) else 0.0
        late = own[own["month"] >= month - 2]["sold"]
        found[f"{name} mean 2"] = np.nan if not known else late.mean() if len(late) else 0.0
        found[f"{name} mean"] = own["sold"].mean() if known else np.nan
        found[f"{name} since first"] = month - own[own["sold"] > 0]["month"].min() if known else np.nan
        found[f"{name} since last"] = month - own[own["sold"] > 0]["month"].max() if known else np.nan
    own = grid[(grid["shop"] == shop) & (grid["item"] == item)]
    known = (own["sold"] > 0).any()
    found["shop x item times mean"] = own["times"].mean() if known else np.nan
    found["shop x item times mean 2"] = np.nan if not known else own[own["month"] >= month - 2]["times"].mean() if (own["month"] >= month - 2).any() else 0.0
    prices = before[before["item"] == item].groupby("month")["price"].median()
    found["item price"] = np.log(prices.iloc[-1]) if len(prices) else np.nan
    return found


def test_columns_are_those_of_a_slow_second_way(tmp_path):
    random = np.random.default_rng(1)
    n, months = 160, 6
    frame = pd.DataFrame({"month": np.sort(random.integers(0, months, n)), "shop": random.choice(list("abc"), n), "item": random.choice(list("uvwxyz"), n)})
    frame = frame[random.random(n) < 0.7].assign(price=lambda f: random.integers(1, 9, len(f)), sold=lambda f: random.integers(-1, 15, len(f)))
    lines = [f"2020-{m + 1:02d}-{1 + i % 28:02d},{s},{t},{p},{q}" for i, (m, s, t, p, q) in enumerate(frame.itertuples(index=False))]
    train, _ = made(write(tmp_path, random.permutation(lines).tolist(), ["1,a,x"]))
    checked = 0
    for id, row in train.iterrows():
        month, shop, item = id.split("/")
        for name, value in slow_columns(frame, int(month), shop, item).items():
            assert row[name] == pytest.approx(value, rel=1e-5, nan_ok=True), (id, name)
            checked += 1
    assert checked > 1000


@pytest.mark.parametrize("later", ["2020-03-15,a,x,1e9,1e9", "2020-03-15,zz,new,0.001,5", "2020-03-31,b,x,10,-1e9"])
def test_a_later_month_moves_no_column_of_an_earlier_one(tmp_path, later):
    before, _ = made(write(tmp_path))
    after, _ = made(write(tmp_path, [*SALES, later, "2020-04-01,a,x,1e9,1e9"]))
    early = [id for id in before.index if id.startswith(("1/", "2/"))]
    pd.testing.assert_frame_equal(before.loc[early], after.loc[early])  # March's own rows know nothing of March either


def test_a_horizon_hides_the_months_between(tmp_path):
    sales = [f"2020-{m:02d}-01,a,x,1,{m}" for m in range(1, 7)]
    train, test = made(write(tmp_path, sales, ["1,a,x"]), horizon=2, lags=[2, 3])
    assert np.isnan(train.loc["1/a/x", "shop x item lag 2"])  # February knows nothing
    assert train.loc["5/a/x", "shop x item lag 2"] == 4 and train.loc["5/a/x", "shop x item mean 2"] == 3.5  # June knows April and March
    assert test.loc["1", "shop x item lag 2"] == 6 and test.loc["1", "month"] == 8  # two months after June


def test_new_rows_are_those_of_tables(tmp_path):
    tables = panel(write(tmp_path)).tables()
    pd.testing.assert_frame_equal(panel(tmp_path).new_rows(tables.schema), tables.test)


def test_the_order_of_the_files_changes_nothing(tmp_path):
    before = panel(write(tmp_path)).tables()
    after = panel(write(tmp_path, SALES[::-1], TEST[::-1])).tables()
    pd.testing.assert_frame_equal(before.train, after.train)
    pd.testing.assert_frame_equal(before.test, after.test)


def test_folds_go_forward_by_months(tmp_path):
    sales = [f"2020-{m:02d}-01,{s},x,1,{m}" for m in range(1, 13) for s in "ab"]
    tables = panel(write(tmp_path, sales, ["1,a,x"])).tables()
    folds = split(Rows(ids=tables.train.index.to_numpy(dtype=object), time=tables.roles["time"].to_numpy()), scheme="time", count=2, size=1.0)
    months = tables.roles["time"].to_numpy()
    assert [set(months[f.valid]) for f in folds] == [{10}, {11}]
    assert [months[f.train].max() for f in folds] == [9, 10]


def test_months_that_are_not_known_yet_are_not_trained_on(tmp_path):
    ahead = ["input.horizon=2", "input.lags=[2, 3]"]
    with pytest.raises(ConfigError, match=r"score.folds.gap = 0: by input.horizon = 2 the last known month lies 2 before .*\nset score.folds.gap to 1"):
        open_competition("future-sales", overrides=ahead)
    scheme, options = open_competition("future-sales", overrides=[*ahead, "score.folds.gap=1", "encoders.category.smoothing=5.0"]).folds()
    sales = [f"2020-{m:02d}-01,a,x,1,{m}" for m in range(1, 9)]
    tables = panel(write(tmp_path, sales, ["1,a,x"]), horizon=2, lags=[2, 3]).tables()
    months = tables.roles["time"].to_numpy()
    folds = split(Rows(ids=tables.train.index.to_numpy(dtype=object), time=months), scheme=scheme, **options)
    assert [(set(months[f.valid]), months[f.train].max()) for f in folds] == [({5}, 3), ({6}, 4), ({7}, 5)]  # as month 9, to be predicted, knows 7


# joined tables


def test_joined_tables_give_categories_and_groups(tmp_path):
    write(tmp_path, items="item,item_name,kind\nx,Red apple,1\ny,  Green pear,1\n", kinds="kind,kind_name\n1,FRUIT - FRESH\n2,OTHER\n")
    options = dict(joined=["items.csv", "kinds.csv"], first_words=["item_name", "kind_name"], categories=["item_name", "kind_name"], groups=[["kind"], ["shop", "kind_name"]])
    adapter = panel(tmp_path, **options)
    train, test = made(tmp_path, **options)
    assert train["item_name"].tolist() == ["Red", "Green", "Red", "Green", "Red", "Green"]
    assert test.loc["7", "kind_name"] == "FRUIT" and test["kind_name"].isna()["1"]
    assert train.loc["2/a/x", "kind lag 1"] == 2.5 and train.loc["2/a/x", "shop x kind_name lag 1"] == 2.5
    assert "items.csv says nothing of 1 values of 'item': z" in adapter.tables().notes
    assert adapter.tables().schema["item_name"].kind == "category"


def test_joined_tables_that_fit_nowhere_are_told_at_once(tmp_path):
    write(tmp_path, items="item,kind\nx,1\nx,2\n", other="colour\nred\n")
    with pytest.raises(DataError) as error:
        panel(tmp_path, joined=["items.csv", "other.csv"], first_words=["nam"]).tables()
    assert str(error.value).splitlines() == [
        "items.csv names 1 values of 'item' on more than one row: x",
        "other.csv is joined by one column that the keys or the tables before it have (shop, item), and has columns colour",
        'input.first_words: no joined table has a column "nam" (known: item, shop)',
    ]


def test_what_options_name_must_be_a_key_or_joined(tmp_path):
    with pytest.raises(DataError) as error:
        panel(write(tmp_path), groups=[["shop", "itm"]], categories=["colour"], price_among="shop").tables()
    assert str(error.value).splitlines() == [
        'input.groups: no key and no joined table has a column "itm" (did you mean "item"?)',
        'input.categories: no key and no joined table has a column "colour" (known: item, shop)',
        'input.price_among = "shop" says nothing of input.priced = "item"',
    ]


# what can be wrong with sales


def test_returns_and_prices_that_are_none_are_told(tmp_path):
    tables = panel(write(tmp_path, [*SALES, "2020-03-07,a,x,0,1", "2020-03-08,a,x,-1,1", "2020-03-09,a,x,999999,1"])).tables()
    assert tables.notes[:2] == [
        "1 of 10 sales are below 0: they are brought back, and lower their month's total",
        "3 of 10 prices are no number above 0, or more than 1000 times the median of their month: not looked at",
    ]


def test_a_month_of_returns_is_clipped_at_nothing(tmp_path):
    tables = panel(write(tmp_path, [*SALES, "2020-03-07,b,x,10,-5"])).tables()
    assert tables.truth.set_index("id").loc["2/b/x", "month"] == 0


def test_mistakes_in_sales_are_told_at_once(tmp_path):
    with pytest.raises(DataError) as error:
        panel(write(tmp_path, [*SALES, "03.04.2020,a,x,1,1", "2020-04-05,,x,1,many"])).tables()
    told = str(error.value)
    assert "column 'date' is no date of the form that of ISO 8601, such as 2015-10-31 in 1 rows, the first at data row 8: '03.04.2020'" in told
    assert "column 'sold' is no finite number in 1 rows, the first at data row 9: 'many'" in told and "column 'shop' is blank in 1 rows" in told


def test_numbers_of_months_must_agree_with_dates(tmp_path):
    numbered = [f"{line},{int(line[5:7]) + 4}" for line in SALES]
    write(tmp_path, numbered, header=f"{HEADER},block")
    assert list(panel(tmp_path, number="block").tables().train.index)[:2] == ["6/a/x", "6/a/y"]
    write(tmp_path, [*numbered, "2020-03-01,a,x,1,1,5"], header=f"{HEADER},block")
    with pytest.raises(DataError, match="column 'block' is not the month of the row's date in 1 rows, the first at data row 8\nexpected 5 in the first month"):
        panel(tmp_path, number="block").tables()


def test_columns_that_are_not_there_are_told_at_once(tmp_path):
    (write(tmp_path) / "test.csv").write_text("id,shop,thing\n1,a,x\n")
    with pytest.raises(DataError) as error:
        panel(tmp_path, value="amount").tables()
    assert [line.split("(")[0].strip() for line in str(error.value).splitlines()] == [
        'sales_train.csv has no column "amount"', 'test.csv has no column "ID"', 'test.csv has no column "item"',
    ]  # fmt: skip


def test_columns_of_one_value_a_month_need_more_than_a_year(tmp_path):
    sales = [f"{2020 + m // 12}-{m % 12 + 1:02d}-01,{s},{i},1,{n}" for m in range(15) for n, (s, i) in enumerate([("a", "x"), ("b", "x"), ("a", "y")])]
    write(tmp_path, sales, ["1,a,x"])
    assert {"month", "days"} <= set(panel(tmp_path, first=-13).tables().schema)
    tables = panel(tmp_path, first=-12).tables()
    assert not {"month", "days", "weekend days", "shop since first"} & set(tables.schema) and "shop x item lag 1" in tables.schema
    assert tables.notes[-1].startswith("12 months are learned from, and columns of one value a month would only name them, so left out: ")


def test_one_month_alone_teaches_nothing(tmp_path):
    with pytest.raises(DataError, match=r"holds 1 months of sales: expected more than input\.horizon = 1"):
        panel(write(tmp_path, SALES[:2])).tables()


def test_a_column_left_out_must_be_made(tmp_path):
    write(tmp_path)
    assert "expected" not in panel(tmp_path, drop=["expected"]).tables().schema
    with pytest.raises(DataError, match=r'input\.drop: no column "expectd" is made \(did you mean "expected"\?\)'):
        panel(tmp_path, drop=["expectd"]).tables()


def test_mistakes_in_options_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError) as error:
        panel(tmp_path, keys=["shop"], value="", lags=[0, 1], windows=[], clip=[3.0], priced="", debut="itm", smoothing=0.0, fading=1.5)
    assert len(str(error.value).splitlines()) == 8


def test_answers_are_clipped_as_the_host_does(tmp_path):
    answers = tmp_path / "answers.csv"
    answers.write_text("ID,month\n1,50\n7,-3\n07,4\n")
    assert panel(write(tmp_path)).answers(answers).set_index("id")["month"].to_dict() == {"07": 4, "1": 20, "7": 0}


# future sales


def test_shops_that_are_in_the_list_twice_are_one(tmp_path):
    adapter = open_competition("future-sales").open_adapter(tmp_path)
    names = ["!Якутск Орджоникидзе, 56 фран", '!Якутск ТЦ "Центральный" фран', "Жуковский ул. Чкалова 39м?", "Жуковский ул. Чкалова 39м²", "Якутск Орджоникидзе, 56", 'Якутск ТЦ "Центральный"', "Store 1", "Store 10"]
    shops = pd.DataFrame({"shop_name": names, "shop_id": ["0", "1", "10", "11", "57", "58", "70", "71"]})
    assert adapter.aliases({"shops.csv": shops}) == {"shop_id": {"0": "57", "1": "58", "10": "11"}}


def test_its_sample_has_kaggles_columns_and_a_shop_that_is_twice_in_it(tmp_path):
    adapter = open_competition("future-sales").open_adapter(tmp_path)
    adapter.write_sample(tmp_path)
    headers = {name: (tmp_path / name).read_text(encoding="utf-8").split("\n")[0] for name in ("sales_train.csv", "test.csv", "items.csv", "item_categories.csv", "shops.csv", "sample_submission.csv")}
    assert headers == {
        "sales_train.csv": "date,date_block_num,shop_id,item_id,item_price,item_cnt_day", "test.csv": "ID,shop_id,item_id", "items.csv": "item_name,item_id,item_category_id",
        "item_categories.csv": "item_category_name,item_category_id", "shops.csv": "shop_name,shop_id", "sample_submission.csv": "ID,item_cnt_month",
    }  # fmt: skip
    tables = adapter.tables()
    sold = pd.read_csv(tmp_path / "sales_train.csv")
    assert set(sold["shop_id"]) >= {0, 5} and "0" not in set(tables.train.index.str.split("/").str[1])
    assert "shop_name x item_id lag 1" in tables.schema
