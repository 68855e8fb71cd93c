"""Text: as tokens to a model that takes them, else as hashed n-grams of words and characters, and as columns of frozen features."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.feature_extraction.text import HashingVectorizer

from kit.encoders import Features, Gathering
from kit.encoders._stored import beside, computed_once
from kit.errors import ConfigError, bullets
from kit.files import begun_from

_WORD = r"(?u)\b\w+\b"


@dataclass(frozen=True)
class _Store:
    """
    cells      (n,) texts; "" where there is none
    features   (n, d) float32, NaN where there is no text; None without frozen features
    taken      whether the model takes tokens
    tokenizer  of the model's checkpoint; "" is one that is learned
    pieces     a tokenizer's key -> the cells' tokens: a checkpoint's are the same in all folds
    """

    cells: np.ndarray
    features: np.ndarray | None = None
    taken: bool = False
    tokenizer: str = ""
    pieces: dict[str, Any] = field(default_factory=dict)


class Text:
    def __init__(
        self,
        *,
        size: int = 4096,
        words: int = 2,
        characters: list[int] = [],
        lowercase: bool = True,
        min_count: int = 2,
        ngrams: bool = True,
        features: str = "",
        weights: str = "hub",
        layers: int = 1,
        tokenizer: Literal["bpe", "words"] = "bpe",
        vocabulary: int = 8000,
        most_tokens: int = 128,
        most_windows: int = 16,
        join: str = "",
        pair: bool = False,
    ):
        """
        size          hashed columns for each text column, and as many again for its characters
        words         in an n-gram
        characters    fewest and most of an n-gram within a word, such as [2, 5]; [] counts none
        lowercase     for n-grams and for tokenizers that are learned; a checkpoint's has its own way
        min_count     columns that fewer training rows fill are left out
        ngrams        False leaves them to the frozen features
        features      columns beside the n-grams: the mean output of an encoder of Hugging Face for the tokens of each text; "package", a folder or a name
        weights       of that encoder: "hub" (its own), "package", a folder or a file
        layers        of it, the last ones, whose mean outputs stand side by side: those before the last know more of a text's tone, the last of its subject
        tokenizer     for a model that takes tokens and has no checkpoint: parts of words, or words, learned from the training rows
        vocabulary    tokens that are learned, at most
        most_tokens   of a window, the special ones included; a longer text is cut into windows
        most_windows  of a text: what lies behind them is left out
        join          text between columns, for a model that takes tokens; "" is the tokenizer's own sign
        pair          such a model is told which column a token is of
        """
        self.size, self.words, self.characters, self.lowercase, self.min_count = size, words, characters, lowercase, min_count
        self.ngrams, self.features, self.weights, self.layers = ngrams, features, weights, layers
        self.tokenizer, self.vocabulary, self.most_tokens, self.most_windows = tokenizer, vocabulary, most_tokens, most_windows
        self.join, self.pair = join, pair
        self._check()
        self.kept: dict[str, list[int]] = {}
        self.told: dict[str, Any] = {}  # the tokenizer's state, once there is one
        self.stores: dict[str, _Store] = {}

    def _check(self) -> None:
        problems = []
        if self.characters and (len(self.characters) != 2 or not 1 <= self.characters[0] <= self.characters[1]):
            problems.append(f"encoders.text.characters = {self.characters}: expected the fewest and the most characters of an n-gram, such as [2, 5]")
        if self.most_tokens < 8 or self.most_windows < 1:
            problems.append(
                f"encoders.text.most_tokens = {self.most_tokens}, most_windows = {self.most_windows}: expected at least 8 tokens and 1 window"
            )
        if self.layers < 1:
            problems.append(f"encoders.text.layers = {self.layers}: expected 1 or more")
        if not self.ngrams and not self.features:
            problems.append("encoders.text.ngrams = false leaves nothing of a text: set encoders.text.features, or drop the columns: input.drop = [...]")
        if problems:
            raise ConfigError(bullets(problems))

    # --- once for all folds ------------------------------------------------------------------------------------------------------

    def gather(self, column: str, cells: np.ndarray, training: int, how: Gathering) -> _Store:
        """cells  (n,) texts"""
        texts = np.array(_clean(cells), dtype=object)
        if "text" in how.takes:
            return _Store(texts, None, True, how.tokenizer)
        return _Store(texts, self._frozen(texts, how) if self.features else None)

    def _frozen(self, texts: np.ndarray, how: Gathering) -> np.ndarray:
        held = hashlib.sha256("".join(f"{len(text)} {text}" for text in texts).encode()).hexdigest()
        told, begun = f"{self.features} {self.weights} {self.layers} {self.most_tokens} {self.most_windows} {held}", begun_from(self.features, self.weights)
        return computed_once(how, "text", told, begun, lambda: self._asked(texts, how))

    def _asked(self, texts: np.ndarray, how: Gathering) -> np.ndarray:
        """(n, d) float32 of the encoder for each text."""
        from kit.encoders import _tokenizing  # tokenizers, transformers and torch are imported only where they are asked for
        from kit.huggingface import frozen_features, source, tokenizer

        found = tokenizer(source(self.features, self.weights))
        pieces = _tokenizing.pieces(_tokenizing.opened(found), texts.tolist())
        everyone = np.arange(len(texts))
        tokens = _tokenizing.joined([pieces.of(everyone)], [], found, pair=False, longest=self.most_tokens, most_windows=self.most_windows, vocabulary=0)
        values = frozen_features(tokens, self.features, weights=self.weights, layers=self.layers, threads=how.threads, progress=how.progress)
        values[~tokens.there] = np.nan
        return values

    # --- in a fold ---------------------------------------------------------------------------------------------------------------

    def fit_transform(self, columns: pd.DataFrame, goal: np.ndarray, group: np.ndarray | None, seed: int) -> Features:
        if self._taken(columns):
            self.told = self._learned(columns)
            return self.transform(columns)
        counts = {name: self._counts(self._texts(columns[name])) for name in columns} if self.ngrams else {}
        self.kept = {name: [int(n) for n in np.flatnonzero(c.getnnz(axis=0) >= self.min_count)] for name, c in counts.items()}
        return self._features(columns, counts)

    def transform(self, columns: pd.DataFrame) -> Features:
        if self._taken(columns):
            found = Features.of(len(columns))
            found.media["text"] = self._tokens(columns)
            return found
        return self._features(columns, {name: self._counts(self._texts(columns[name])) for name in columns} if self.ngrams else {})

    def _taken(self, columns: pd.DataFrame) -> bool:
        return any(self.stores[name].taken for name in columns if name in self.stores)

    def _texts(self, column: pd.Series) -> list[str]:
        store = self.stores.get(str(column.name))
        return _clean(column) if store is None else store.cells[column.to_numpy(dtype=np.int64)].tolist()

    def _counts(self, texts: list[str]) -> scipy.sparse.csr_matrix:
        same = {"n_features": self.size, "lowercase": self.lowercase, "norm": None, "alternate_sign": False, "dtype": np.float32}
        parts = [HashingVectorizer(ngram_range=(1, self.words), token_pattern=_WORD, **same)] if self.words else []
        if self.characters:
            parts.append(HashingVectorizer(analyzer="char_wb", ngram_range=tuple(self.characters), **same))
        if not texts:  # of which the library counts nothing, not even columns
            return scipy.sparse.csr_matrix((0, self.size * len(parts)), dtype=np.float32)
        return scipy.sparse.hstack([hashing.transform(texts) for hashing in parts], format="csr")

    def _features(self, columns: pd.DataFrame, counts: dict[str, scipy.sparse.csr_matrix]) -> Features:
        lengths = {f"length of {name}": np.array([len(t) for t in self._texts(columns[name])], np.float32) for name in columns}
        sparse = scipy.sparse.hstack([counts[name][:, self.kept[name]] for name in columns], format="csr") if counts else None
        parts = [Features.of(len(columns), dense=lengths, sparse=sparse)]
        for name in columns:
            store = self.stores.get(name)
            if store is not None and store.features is not None:
                parts.append(beside(name, store.features[columns[name].to_numpy(dtype=np.int64)]))
        return Features.beside(parts)

    # --- tokens ------------------------------------------------------------------------------------------------------------------

    def _learned(self, columns: pd.DataFrame) -> dict[str, Any]:
        checkpoint = next(self.stores[name].tokenizer for name in columns)
        if checkpoint:
            from kit.huggingface import tokenizer  # transformers is imported only where a checkpoint is asked for

            return tokenizer(checkpoint)
        from kit.encoders import _tokenizing

        texts = [text for name in columns for text in self._texts(columns[name]) if text]
        return _tokenizing.learned(texts, kind=self.tokenizer, vocabulary=self.vocabulary, lowercase=self.lowercase)

    def _tokens(self, columns: pd.DataFrame) -> Any:
        from kit.encoders import _tokenizing

        tokenizer, key = _tokenizing.opened(self.told), hashlib.sha256(self.told["json"].encode()).hexdigest()
        parts = []
        for name in columns:
            store, rows = self.stores[name], columns[name].to_numpy(dtype=np.int64)
            if store.tokenizer and key not in store.pieces:
                store.pieces[key] = _tokenizing.pieces(tokenizer, store.cells.tolist())
            if key in store.pieces:
                parts.append(store.pieces[key].of(rows))
            else:
                parts.append(_tokenizing.pieces(tokenizer, store.cells[rows].tolist()).of(np.arange(len(rows))))
        between = tokenizer.encode(self.join, add_special_tokens=False).ids if self.join else self.told["between"]
        vocabulary = tokenizer.get_vocab_size(with_added_tokens=True)
        return _tokenizing.joined(
            parts, between, self.told, pair=self.pair, longest=self.most_tokens, most_windows=self.most_windows, vocabulary=vocabulary
        )

    def state(self) -> dict[str, Any]:
        return {"kept": self.kept, "tokenizer": self.told}

    def restore(self, state: dict[str, Any]) -> None:
        self.kept, self.told = state["kept"], state["tokenizer"]


def _clean(cells: Iterable[Any]) -> list[str]:
    """Texts; "" where a cell is missing. Half of a surrogate pair, which no encoding of text holds, becomes the replacement character."""
    texts = ["" if cell is None or cell is pd.NA or cell != cell else str(cell) for cell in cells]
    return [t if t.isascii() else t.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for t in texts]
