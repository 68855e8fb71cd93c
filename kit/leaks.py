"""What tells the answer and should not: a single column, a word of a text, what is missing in a row.

A column counts as telling too much where it alone is nearly as good as the answer; what is learned for that is judged on other rows.
"""

import re

import numpy as np
import pandas as pd
import scipy.sparse
from scipy import stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from kit.adversary import area
from kit.tables import Tables

TELLS_ALL = 0.98  # |rank correlation|, area, or share of rows guessed, above which one column is as good as the answer
SAMPLED = 50_000  # rows looked at where a look at all would be slow
_GROWN = 10_000  # rows that a tree is grown on and judged by
_READ = 20_000  # texts that are read for words
_MOST_CLASSES = 100  # that a column is tried for
_FEWEST = 20  # rows that say something
_GREATEST = float(np.finfo(np.float32).max)  # that scikit-learn's trees take
_PARTS = 5


def telling(tables: Tables, answers: pd.Series, numbers: bool, sizes: dict[str, pd.Series]) -> list[str]:
    """A line for each column that tells too much.

    answers  in the order of train: numbers, or labels; where they are objects nothing is looked for
    numbers  the answers have an order, and are no classes
    sizes    what else is known of the training rows, such as the bytes of a column's files
    """
    if not comparable(answers):
        return []
    kept = np.random.default_rng(0).permutation(len(answers))[:SAMPLED]
    answers = answers.iloc[kept].reset_index(drop=True)
    findings, said = [], set()
    kinds = {name: column.kind for name, column in tables.schema.items()}
    for name, kind in kinds.items():
        values = tables.train[name].iloc[kept].reset_index(drop=True)
        told = ""
        if kind in ("numeric", "category"):
            told = _told_of_numbers(values, answers, kind) if numbers else _told_of_classes(values, answers, kind)
            told = told or _told_to_a_tree(values, answers, numbers, kind)
        elif kind == "date":
            told = _told_to_a_tree(values.astype("int64").where(values.notna()), answers, numbers, "numeric")
        elif kind == "text":
            told = _told_in_words(values, answers, numbers)
        told = told or _told_by_absence(values.isna(), answers, numbers)
        if told:
            said.add(name)
            findings.append(f"leak    column {name!r} {told}")
    for name, values in sizes.items():
        if told := _told_to_a_tree(values.iloc[kept].reset_index(drop=True), answers, numbers, "numeric"):
            findings.append(f"leak    {name} {told}")
    absent = tables.train[list(kinds)].isna().iloc[kept].reset_index(drop=True)
    if not said and absent.any(axis=None) and (told := _told_by_pattern(absent, answers, numbers)):
        findings.append(f"leak    {told}")
    return findings


def comparable(answers: pd.Series) -> bool:
    """Whether the cells are numbers or words, which can be compared and hashed, and not objects such as the boxes in a picture."""
    return not pd.api.types.is_object_dtype(answers) or all(isinstance(cell, str | int | float) for cell in answers.head(1000))


def coded(answers: pd.Series, numbers: bool) -> np.ndarray | None:
    """(n, m) float64: ranks from 0 to 1 of numbers, a column of 0 and 1 for each of the 20 most frequent classes; None where they are objects."""
    if not comparable(answers):
        return None
    if numbers:
        return answers.rank(pct=True).to_numpy(dtype=np.float64)[:, None]
    values = answers.astype("str")
    return np.column_stack([(values == label).to_numpy(dtype=np.float64) for label in values.value_counts().index[:20]])


def _told_of_numbers(values: pd.Series, answers: pd.Series, kind: str) -> str:
    present = values.notna()
    values, answers = values[present], answers[present]
    if len(values) <= _FEWEST or values.nunique() <= 2 or answers.nunique() <= 2:
        return ""
    if kind == "category":
        if values.nunique() > len(values) / 10:
            return _told_out_of_fold(values, answers)
        values = answers.rank().groupby(values.astype("str")).transform("mean")
        if values.nunique() < 2:
            return ""
    told = abs(stats.spearmanr(values, answers).statistic)
    return f"has a rank correlation of {told:.3f} with {answers.name!r}" if told > TELLS_ALL else ""


def _told_of_classes(values: pd.Series, answers: pd.Series, kind: str) -> str:
    codes, classes = pd.factorize(answers)
    constant = np.bincount(codes).max() / len(codes)
    if values.nunique() <= len(values) / 10:
        table = pd.crosstab(pd.factorize(values, use_na_sentinel=False)[0], codes)
        told = table.max(axis=1).sum() / len(codes)
        return f"alone gives {answers.name!r} of {told:.1%} of the training rows ({constant:.1%} without it)" if _is_much(told, constant) else ""
    if kind == "category":
        return _told_out_of_fold(values, answers)
    if len(classes) == 2:
        present = values.notna().to_numpy()
        positive = codes[present] == 1
        if positive.any() and not positive.all():
            found = area(positive, values[present].to_numpy(dtype=np.float64))[0]
            if max(found, 1 - found) > TELLS_ALL:
                return f"alone has an area under the curve of {max(found, 1 - found):.3f} for {answers.name!r}"
    return ""


def _is_much(told: float, constant: float) -> bool:
    return told > TELLS_ALL and told - constant > (1 - constant) / 2


def _parted(n: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(n) % _PARTS


def _told_out_of_fold(values: pd.Series, answers: pd.Series) -> str:
    """A column of many categories: each row is told the answers of the other parts' rows with its value, where there are such rows."""
    frame = pd.DataFrame({"value": values.astype("str").to_numpy(), "answer": answers.to_numpy(), "part": _parted(len(values))})
    numeric = pd.api.types.is_float_dtype(frame["answer"])
    told = pd.Series(index=frame.index, dtype="float64" if numeric else frame["answer"].dtype)
    for part in range(_PARTS):
        known = frame[frame["part"] != part].groupby("value")["answer"]
        encoded = known.mean() if numeric else known.agg(lambda cells: cells.value_counts().index[0])
        held = frame["part"] == part
        told[held] = frame.loc[held, "value"].map(encoded)
    seen = told.notna()
    if seen.sum() <= _FEWEST or seen.mean() < 0.3 or frame["answer"][seen].nunique() < 2:
        return ""
    where = f"of the {seen.mean():.0%} of the training rows whose value other folds have"
    if numeric:
        found = stats.spearmanr(told[seen], frame["answer"][seen]).statistic
        return f"encoded out of fold has a rank correlation of {found:.3f} with {answers.name!r}, {where}" if found > TELLS_ALL else ""
    right = float((told[seen] == frame["answer"][seen]).mean())
    constant = frame["answer"][seen].value_counts(normalize=True).iloc[0]
    return f"encoded out of fold gives {answers.name!r} of {right:.1%} {where} ({constant:.1%} without it)" if _is_much(right, constant) else ""


def _told_to_a_tree(values: pd.Series, answers: pd.Series, numbers: bool, kind: str) -> str:
    """A number that tells the answer though not in order: a tree of few leaves, judged on rows that it was not grown on."""
    if kind != "numeric":
        return ""
    cells = values.to_numpy(dtype=np.float64, na_value=np.nan)
    present = np.isfinite(cells)  # an infinite cell counts as missing, as it does to the encoders
    if present.sum() < 5 * _FEWEST:
        return ""
    held, target = cells[present][:_GROWN, None].clip(-_GREATEST, _GREATEST), answers[present].iloc[:_GROWN]
    classes = target.nunique()
    if classes < 2 or (not numbers and classes > _MOST_CLASSES):
        return ""
    goal = target.rank().to_numpy() if numbers else pd.factorize(target)[0]
    made = DecisionTreeRegressor if numbers else DecisionTreeClassifier
    part, told = _parted(len(goal)), np.empty(len(goal))
    for k in range(_PARTS):
        tree = made(max_leaf_nodes=64 if numbers else max(16, 4 * classes), min_samples_leaf=5, random_state=0)
        told[part == k] = tree.fit(held[part != k], goal[part != k]).predict(held[part == k])
    if numbers:
        found = stats.spearmanr(told, goal).statistic if len(np.unique(told)) > 1 else 0.0
        return f"tells {target.name!r}: a tree of it alone has a rank correlation of {found:.3f} on rows held out" if found > TELLS_ALL else ""
    right, constant = float((told == goal).mean()), np.bincount(goal).max() / len(goal)
    return f"tells {target.name!r}: a tree of it alone is right in {right:.1%} of rows held out ({constant:.1%} without it)" if _is_much(right, constant) else ""


# --- texts -----------------------------------------------------------------------------------------------------------------------


def _told_in_words(values: pd.Series, answers: pd.Series, numbers: bool) -> str:
    """A text in which the answer stands: as a number, or as a word that stands in the texts of one class and no other."""
    values, answers = values.iloc[:_READ], answers.iloc[:_READ]
    first = pd.to_numeric(values.str.extract(r"(-?\d+(?:\.\d+)?)", expand=False), errors="coerce")
    if first.notna().mean() > 0.5 and (told := _told_of_numbers(first, answers, "numeric") if numbers else _told_of_classes(first, answers, "numeric")):
        return f"holds a number that {told}"
    return "" if numbers else _word_of_a_class(values.fillna(""), answers)


def _word_of_a_class(texts: pd.Series, answers: pd.Series) -> str:
    counted = CountVectorizer(binary=True, min_df=min(10, max(2, len(texts) // 50)), token_pattern=r"(?u)[^\s]+")
    try:
        there = counted.fit_transform(texts)
    except ValueError as error:
        if not re.search("empty vocabulary|no terms remain", str(error), re.IGNORECASE):
            raise
        return ""
    codes, classes = pd.factorize(answers)
    if not 2 <= len(classes) <= _MOST_CLASSES:
        return ""
    members = scipy.sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    both, sizes, found = (members @ there).toarray(), np.bincount(codes), np.asarray(there.sum(axis=0)).ravel()
    match = 2 * both / (sizes[:, None] + found)  # F1 of "has the word" for "is of the class"
    best, words = match.max(axis=1), counted.get_feature_names_out()
    told = (best > TELLS_ALL) & (sizes >= _FEWEST)
    enough = told.sum() >= len(classes) - 1 if len(classes) > 2 else told.any()
    if not enough:
        return ""
    k = int(np.argmax(np.where(told, best, 0)))
    return f"has the word {words[match[k].argmax()]!r} in the texts of {answers.name!r} = {classes[k]} and hardly any other: F1 {best[k]:.3f}"


# --- what is missing -------------------------------------------------------------------------------------------------------------


def _told_by_absence(absent: pd.Series, answers: pd.Series, numbers: bool) -> str:
    """Whether it tells the answer that a cell is blank."""
    blank = absent.to_numpy()
    if min(blank.sum(), (~blank).sum()) < _FEWEST:
        return ""
    if numbers:
        found = area(blank, answers.to_numpy(dtype=np.float64))[0]
        return f"is missing where {answers.name!r} is {'high' if found > 0.5 else 'low'}: area under the curve {max(found, 1 - found):.3f}" if max(found, 1 - found) > TELLS_ALL else ""
    right, constant = _by_value(blank.astype(np.int64), answers)
    return f"tells by being missing: that alone gives {answers.name!r} of {right:.1%} of the training rows ({constant:.1%} without it)" if _is_much(right, constant) else ""


def _told_by_pattern(absent: pd.DataFrame, answers: pd.Series, numbers: bool) -> str:
    """Whether it tells the answer which cells, or how many, of a row are blank."""
    patterns = pd.util.hash_pandas_object(absent, index=False)
    for what, values in (("which columns are missing", pd.factorize(patterns)[0]), ("how many columns are missing", absent.sum(axis=1).to_numpy())):
        if not 2 <= len(np.unique(values)) <= len(values) / 10:
            continue
        if numbers:
            mean = answers.rank().groupby(values).transform("mean")
            found = abs(stats.spearmanr(mean, answers).statistic) if mean.nunique() > 1 and answers.nunique() > 2 else 0.0
            if found > TELLS_ALL:
                return f"{what} in a row has a rank correlation of {found:.3f} with {answers.name!r}"
        else:
            right, constant = _by_value(values, answers)
            if _is_much(right, constant):
                return f"{what} in a row gives {answers.name!r} of {right:.1%} of the training rows ({constant:.1%} without it)"
    return ""


def _by_value(values: np.ndarray, answers: pd.Series) -> tuple[float, float]:
    """(share of rows that are right where each value gives its most frequent class, that of the most frequent class)."""
    codes = pd.factorize(answers)[0]
    return float(pd.crosstab(values, codes).max(axis=1).sum() / len(codes)), float(np.bincount(codes).max() / len(codes))
