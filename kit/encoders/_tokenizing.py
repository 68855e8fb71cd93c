"""Texts into tokens: a tokenizer learned from a fold's training rows, or a checkpoint's, and what it makes of columns of text."""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from kit.tokens import Tokens, places_of

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # their ids are their places
_AT_ONCE = 10_000  # texts
_LEARNED_FROM = 5_000  # characters of each text: merging within one word of a million takes hours

Told = dict[str, Any]  # as huggingface.tokenizer gives it


@dataclass(frozen=True)
class Pieces:
    """The tokens of n texts.

    ids     (t,) int32
    starts  (n + 1,) int64
    """

    ids: np.ndarray
    starts: np.ndarray

    def of(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(ids of the rows one after another, (m,) how many each has)"""
        counts = np.diff(self.starts)[rows]
        return self.ids[places_of(self.starts[rows], counts)], counts


def learned(texts: list[str], *, kind: Literal["bpe", "words"], vocabulary: int, lowercase: bool) -> Told:
    """A tokenizer of at most so many tokens, the commonest in the texts.

    bpe    parts of words, merged from bytes by their frequency (Sennrich et al. 2016): no character is unknown to it
    words  whole words and signs; what is not among them is one unknown word
    """
    if kind == "bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
        room = max(vocabulary, len(_SPECIAL) + len(bytes_))
        trainer = trainers.BpeTrainer(vocab_size=room, special_tokens=_SPECIAL, initial_alphabet=bytes_, min_frequency=2, show_progress=False)
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordLevelTrainer(vocab_size=vocabulary, special_tokens=_SPECIAL, min_frequency=2, show_progress=False)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *([normalizers.Lowercase()] if lowercase else [])])
    tokenizer.train_from_iterator((text[:_LEARNED_FROM] for text in texts), trainer)
    return {"json": tokenizer.to_str(), "first": [2], "between": [3], "last": [3], "padding": 0, "masked": 4}


def opened(told: Told) -> Tokenizer:
    tokenizer = Tokenizer.from_str(told["json"])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def pieces(tokenizer: Tokenizer, texts: list[str]) -> Pieces:
    ids, counts = [np.empty(0, np.int32)], [np.zeros(1, np.int64)]
    for start in range(0, len(texts), _AT_ONCE):
        found = [e.ids for e in tokenizer.encode_batch_fast(texts[start : start + _AT_ONCE], add_special_tokens=False)]
        counts.append(np.fromiter(map(len, found), np.int64, len(found)))
        ids.append(np.fromiter((id for each in found for id in each), np.int32, int(counts[-1].sum())))
    return Pieces(np.concatenate(ids), np.concatenate(counts).cumsum())


def joined(columns: list[tuple[np.ndarray, np.ndarray]], between: list[int], told: Told, *, pair: bool, longest: int, most_windows: int, vocabulary: int) -> Tokens:
    """The rows' tokens of all columns one after another, `between` standing between those that have any.

    columns       of each (ids, (n,) counts), as Pieces.of gives them
    pair          tokens are told apart by their column
    longest       tokens of a window
    most_windows  what lies behind so many of them is left out
    """
    n, filled = len(columns[0][1]), np.zeros(len(columns[0][1]), bool)
    parts: list[tuple[np.ndarray, np.ndarray, int]] = []  # ids, counts, segment
    for place, (ids, counts) in enumerate(columns):
        segment = place if pair else 0
        if place and between:
            needed = (filled & (counts > 0)) * len(between)
            parts.append((np.tile(np.asarray(between, np.int32), int((needed > 0).sum())), needed, parts[-1][2]))
        parts.append((ids, counts, segment))
        filled |= counts > 0
    whole = np.sum([counts for _, counts, _ in parts], axis=0).astype(np.int64)
    starts = np.append(0, whole.cumsum())
    all_ids, segments, at = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int8), starts[:-1].copy()
    for ids, counts, segment in parts:
        places = places_of(at, counts)
        all_ids[places], segments[places] = ids, segment
        at += counts
    made = Tokens(all_ids, starts, segments, told["first"], told["last"], told["padding"], vocabulary, longest, "", told["masked"])
    kept = np.minimum(whole, made.room + (most_windows - 1) * made.stride)
    if (kept < whole).any():
        places = places_of(starts[:-1], kept)
        all_ids, segments, starts = all_ids[places], segments[places], np.append(0, kept.cumsum())
    key = hashlib.sha256(f"{n} {told['first']} {told['last']} {told['padding']} {vocabulary} {longest}".encode())
    for array in (all_ids, starts, segments):
        key.update(array.tobytes())
    return Tokens(all_ids, starts, segments, told["first"], told["last"], told["padding"], vocabulary, longest, key.hexdigest()[:16], told["masked"])
