"""Looks for what would make a score untrue: copies, columns that tell too much, ids that tell anything, test rows unlike training rows.

Each finding is a line with its evidence. Nothing here changes a run.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from kit import folds
from kit.competition import Competition
from kit.errors import FoldError, KitError, shorten
from kit.pipeline import split_rows
from kit.tables import Tables

TELLS_ALL = 0.98  # |rank correlation|, or share of rows guessed, above which one column is as good as the answer
SHIFTED = 0.2  # Kolmogorov-Smirnov distance between train and test, or share of test rows with an unseen category
SAMPLED = 50_000  # rows looked at where a look at all would be slow


def check(competition: Competition, data: Path) -> list[str]:
    """All findings, the gravest first. Raises KitError where files or config cannot be read at all."""
    adapter = competition.open_adapter(data)
    tables = adapter.tables()
    scheme, options = competition.folds()
    findings = []
    try:
        rows = split_rows(tables, adapter.task, scheme)
        findings += [f"folds   {line}" for line in folds.describe(rows, folds.split(rows, scheme=scheme, **options))]
    except (FoldError, KitError) as error:
        findings.append(f"folds   {error}")
    answers = tables.truth[adapter.task.targets[0]]
    findings += _copies(tables, answers)
    findings += _telling_columns(tables, answers)
    findings += _telling_ids(tables, answers)
    findings += _shift(tables)
    findings += [f"note    {note}" for note in tables.notes]
    try:
        sample = adapter.sample()
        if sample is not None and set(sample.index) != set(tables.test.index):
            lacking, extra = sample.index.difference(tables.test.index), tables.test.index.difference(sample.index)
            findings.insert(0, f"ids     {len(lacking)} sample ids are not in the test file ({shorten(lacking, 3)}), {len(extra)} test ids not in the sample ({shorten(extra, 3)})")
    except KitError as error:
        findings.insert(0, f"sample  {error}")
    return findings


def _copies(tables: Tables, answers: pd.Series) -> list[str]:
    findings = []
    train = pd.util.hash_pandas_object(tables.train, index=False).to_numpy()
    test = pd.util.hash_pandas_object(tables.test, index=False).to_numpy()
    counted = pd.Series(answers.to_numpy()).groupby(train).agg(["size", "nunique"])
    copies = counted[counted["size"] > 1]
    if len(copies):
        odd = int((copies["nunique"] > 1).sum())
        findings.append(f"copies  {int(copies['size'].sum())} training rows have the same columns as another; in {odd} of {len(copies)} sets the answers differ")
    both = int(np.isin(test, train).sum())
    if both:
        findings.append(f"copies  {both} of {len(test)} test rows have the same columns as a training row")
    return findings


def _telling_columns(tables: Tables, answers: pd.Series) -> list[str]:
    findings = []
    kept = np.random.default_rng(0).permutation(len(answers))[:SAMPLED]
    numeric_answers = pd.to_numeric(answers, errors="coerce")
    ranked = numeric_answers.notna().all() and answers.nunique() > 2
    codes = pd.factorize(answers.iloc[kept])[0]
    constant = np.bincount(codes).max() / len(codes)
    for name, column in tables.schema.items():
        values = tables.train[name].iloc[kept]
        if column.kind == "numeric" and ranked:
            present = values.notna().to_numpy()
            if values.nunique() > 2 and present.sum() > 20:
                told = abs(stats.spearmanr(values[present], numeric_answers.iloc[kept][present]).statistic)
                if told > TELLS_ALL:
                    findings.append(f"leak    column {name!r} has a rank correlation of {told:.3f} with the target")
        elif not ranked and column.kind in ("numeric", "category") and values.nunique() <= len(values) / 10:
            table = pd.crosstab(pd.factorize(values, use_na_sentinel=False)[0], codes)
            told = table.max(axis=1).sum() / len(codes)
            if told > TELLS_ALL and told - constant > (1 - constant) / 2:
                findings.append(f"leak    column {name!r} alone gives the answer of {told:.1%} of the training rows ({constant:.1%} without it)")
        elif not ranked and column.kind == "numeric" and len(set(codes)) == 2:
            present = values.notna().to_numpy()
            ranks = stats.rankdata(values[present])
            positive = codes[present] == 1
            n1, n0 = positive.sum(), (~positive).sum()
            if n1 and n0:
                area = (ranks[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0)
                if max(area, 1 - area) > TELLS_ALL:
                    findings.append(f"leak    column {name!r} alone has an area under the curve of {max(area, 1 - area):.3f}")
    return findings


def _telling_ids(tables: Tables, answers: pd.Series) -> list[str]:
    """Whether ids, as numbers, go with the target: the rows were sorted before they were numbered."""
    numbers = pd.to_numeric(pd.Series(tables.train.index), errors="coerce")
    if numbers.isna().any() or len(numbers) < 50:
        return []
    order = pd.to_numeric(answers, errors="coerce")
    order = order if order.notna().all() else pd.Series(pd.factorize(answers, sort=True)[0])
    found = stats.spearmanr(numbers, order)
    if found.pvalue < 1e-6 and abs(found.statistic) > 0.1:
        return [f"leak    ids go with the target: rank correlation {found.statistic:.3f} over {len(numbers)} rows"]
    return []


def _shift(tables: Tables) -> list[str]:
    findings = []
    for name, column in tables.schema.items():
        train, test = tables.train[name], tables.test[name]
        if column.kind in ("numeric", "date") and len(test) >= 50:
            one, other = (s.dropna().astype("int64" if column.kind == "date" else "float64").to_numpy()[:SAMPLED] for s in (train, test))
            if len(one) and len(other):
                distance = stats.ks_2samp(one, other, method="asymp").statistic
                if distance > SHIFTED:
                    findings.append(f"shift   column {name!r} differs between train and test: Kolmogorov-Smirnov distance {distance:.2f}")
            gap = abs(train.isna().mean() - test.isna().mean())
            if gap > SHIFTED:
                findings.append(f"shift   column {name!r} is missing in {train.isna().mean():.0%} of the training and {test.isna().mean():.0%} of the test rows")
        elif column.kind == "category" and len(test) >= 50:
            unseen = (test.notna() & ~test.isin(train.unique())).mean()
            expected = train.map(train.value_counts()).eq(1).sum() / len(train)  # Good and Turing: the share that one more draw would not have seen
            if unseen > max(SHIFTED, 2 * expected):
                findings.append(f"shift   column {name!r}: {unseen:.0%} of the test rows have a category that no training row has ({expected:.0%} expected)")
    return findings
