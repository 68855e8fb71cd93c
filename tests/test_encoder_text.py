"""Texts as n-grams, as tokens and as frozen features: the same for all kinds of text, learned from training rows alone."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("tokenizers")

import torch
from tokenizers import Tokenizer

from kit.encoders import Encoders, Gathering, gathered
from kit.encoders.text import Text
from kit.errors import ConfigError
from kit.files import read_json
from kit.tables import Column

SCHEMA = {"title": Column("text"), "body": Column("text")}
ODD = ["", None, np.nan, "Красный велосипед, продам", "🚲🚲 fast 👩‍🚒", "a\x00b\x07\x1b c\r\n\t d", "half \ud83d of a pair", "word " * 40_000, "a" * 1_000_000, "ﬁne  café café", "مرحبا 你好"]


def frame(titles, bodies=None):
    titles = list(titles)
    bodies = [None] * len(titles) if bodies is None else list(bodies)
    index = pd.Index([f"{n:03d}" for n in range(len(titles))], name="id")
    return pd.DataFrame({"title": pd.Series(titles, index, object), "body": pd.Series(bodies, index, object)})


def fitted(train, test=None, options=None, takes=("text",), **how):
    """(encoders, features of the training rows, features of the test rows)"""
    options = {"text": options or {}}
    test = train.iloc[:0] if test is None else test
    train, test, stores = gathered(train, test, SCHEMA, options, Gathering(takes=takes, **how))
    encoders = Encoders(SCHEMA, options, stores=stores)
    found = encoders.fit_transform(train, np.zeros((len(train), 1)))
    return encoders, found, encoders.transform(test)


def shown(tokens, row):
    """Ids of the first window, without padding."""
    batch = tokens.padded(np.array([row]))
    return batch["tokens"][0][batch["mask"][0]].tolist()


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with a tokenizer as save_pretrained writes it, and an encoder of 16 numbers."""
    pytest.importorskip("transformers")
    from transformers import AutoConfig, AutoModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "bike", "old", "##er", "fast"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path / "checkpoint")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    AutoModel.from_config(AutoConfig.for_model("bert", vocab_size=10, **sizes)).save_pretrained(tmp_path / "checkpoint")
    return str(tmp_path / "checkpoint")


# n-grams


def test_characters_are_counted_within_words_beside_the_words():
    found = Text(size=1 << 16, words=1, characters=[2, 3], min_count=1)._counts(["ab"])
    assert found.sum() == 1 + len([" a", "ab", "b ", " ab", "ab "])
    assert Text(size=1 << 16, words=0, characters=[2, 2], min_count=1)._counts(["ab"]).sum() == 3


def test_n_grams_of_odd_texts_are_counted_and_repeat():
    train = frame(ODD)
    options = {"size": 512, "characters": [2, 3]}
    _, found, again = fitted(train, train, options, takes=())
    assert np.isfinite(found.dense).all() and found.sparse.shape[0] == len(ODD)
    assert (found.sparse != again.sparse).nnz == 0
    assert found.dense_names == ["length of title", "length of body"] and found.dense[3].tolist() == [len(ODD[3]), 0]


def test_gathered_or_not_n_grams_are_the_same():
    train = frame(["red bike", "red bike red", None], ["old", "old", "new"])
    _, found, _ = fitted(train, takes=())
    plain = Encoders(SCHEMA, stores={name: Text().gather(name, train[name].to_numpy(), 3, Gathering()) for name in SCHEMA})
    direct = plain.fit_transform(train.assign(title=range(3), body=range(3)), np.zeros((3, 1)))
    assert (found.sparse != direct.sparse).nnz == 0 and np.array_equal(found.dense, direct.dense)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"characters": [5, 2]}, "encoders.text.characters = [5, 2]: expected the fewest and the most characters of an n-gram"),
        ({"most_tokens": 4}, "encoders.text.most_tokens = 4, most_windows = 16: expected at least 8 tokens and 1 window"),
        ({"ngrams": False}, "encoders.text.ngrams = false leaves nothing of a text"),
    ],
)
def test_options_that_make_no_sense_are_named(options, words):
    with pytest.raises(ConfigError) as caught:
        Text(**options)
    assert words in str(caught.value)


# tokens


@pytest.mark.parametrize("kind", ["bpe", "words"])
def test_odd_texts_become_tokens_within_the_vocabulary(kind):
    train = frame(ODD)
    _, found, test = fitted(train, train, {"tokenizer": kind, "vocabulary": 400, "most_tokens": 16, "most_windows": 3})
    tokens = found.media["text"]
    assert list(found.media) == ["text"] and found.sparse is None and not found.dense.size
    assert tokens.there.tolist() == [False, False, False] + [True] * 8
    assert tokens.ids.max() < tokens.vocabulary <= 400 and tokens.ids.min() >= 0
    assert tokens.bodies.max() == 14 + 2 * 7 and tokens.window_counts.max() == 3
    assert np.array_equal(test.media["text"].ids, tokens.ids) and test.media["text"].key == tokens.key


def test_parts_of_words_know_every_character_and_whole_words_do_not():
    train, test = frame(["red bike", "red bike"] * 5), frame(["Красный 🚲"])
    unknown = [shown(fitted(train, test, {"tokenizer": kind})[2].media["text"], 0).count(1) for kind in ("bpe", "words")]
    assert unknown == [0, 2]


def test_a_tokenizer_is_learned_from_training_rows_alone_and_comes_back_from_its_file(tmp_path):
    train, test = frame(["red bike", "old bike", "red car"] * 4), frame(["xyzzy xyzzy"] * 50 + ["red bike"])
    encoders, _, found = fitted(train, test)
    alone, _, _ = fitted(train)
    encoders.save(tmp_path / "encoders.json")
    assert read_json(tmp_path / "encoders.json")["state"]["text"]["tokenizer"] == alone.fitted["text"].told
    _, rows, stores = gathered(None, test, SCHEMA, {}, Gathering(takes=("text",)))
    again = Encoders.load(tmp_path / "encoders.json", stores).transform(rows)
    assert np.array_equal(again.media["text"].ids, found.media["text"].ids)


@pytest.mark.parametrize("kind", ["bpe", "words"])
def test_another_process_learns_the_same_tokenizer(kind):
    told = (
        "import hashlib; from kit.encoders._tokenizing import learned\n"
        "texts = [' '.join(f'{chr(97 + n * k % 26)}{chr(97 + n % 23)}{k}' for k in range(9)) for n in range(200)]\n"
        f"print(hashlib.sha256(learned(texts, kind={kind!r}, vocabulary=330, lowercase=True)['json'].encode()).hexdigest())"
    )
    assert len({subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout for _ in range(3)}) == 1


@pytest.mark.parametrize("join, between", [("", ["[SEP]"]), ("or the", ["or", "the"])])
def test_columns_are_joined_with_a_separator_only_where_both_have_text(join, between):
    train = frame(["red", "red", None, ""], ["bike", None, "bike", None])
    common = frame(["red bike or the"] * 2)
    encoders, found, _ = fitted(pd.concat([train, common]), None, {"tokenizer": "words", "join": join})
    opened = Tokenizer.from_str(encoders.fitted["text"].told["json"])
    told = [[opened.id_to_token(id) for id in shown(found.media["text"], row)] for row in range(4)]
    assert told == [["[CLS]", "red", *between, "bike", "[SEP]"], ["[CLS]", "red", "[SEP]"], ["[CLS]", "bike", "[SEP]"], ["[CLS]", "[SEP]"]]


def test_tokens_are_told_apart_by_their_column_where_a_pair_is_asked_for():
    train = frame(["red bike", None], ["old old old", "old"])
    for pair, expected in ((False, [[0] * 8, [0] * 3]), (True, [[0, 0, 0, 0, 1, 1, 1, 1], [1, 1, 1]])):
        tokens = fitted(train, None, {"tokenizer": "words", "pair": pair})[1].media["text"]
        batch = tokens.padded(np.arange(2))
        assert [batch["segments"][n][batch["mask"][n]].tolist() for n in range(2)] == expected


def test_a_checkpoints_tokenizer_is_used_and_kept_so_that_it_is_asked_for_once(checkpoint, tmp_path):
    train, test = frame(["Red bike", "older"], ["fast", None]), frame(["bike"])
    encoders, found, _ = fitted(train, test, {"most_tokens": 16}, tokenizer=checkpoint)
    tokens = found.media["text"]
    assert [shown(tokens, row) for row in (0, 1)] == [[2, 5, 6, 3, 9, 3], [2, 7, 8, 3]]
    assert (tokens.vocabulary, tokens.masked, tokens.padding) == (10, 4, 0)
    encoders.save(tmp_path / "encoders.json")
    _, rows, stores = gathered(None, test, SCHEMA, {"text": {"most_tokens": 16}}, Gathering(takes=("text",), tokenizer="no/such-place"))
    again = Encoders.load(tmp_path / "encoders.json", stores).transform(rows)
    assert shown(again.media["text"], 0) == [2, 6, 3]


# frozen features


def test_frozen_features_are_columns_computed_once_and_missing_where_there_is_no_text(checkpoint, tmp_path, monkeypatch):
    train, test = frame(["red bike", "old", None], ["fast", None, None]), frame(["red bike"], ["fast"])
    options = {"features": checkpoint, "ngrams": False}
    how = {"takes": (), "folder": tmp_path / "cache"}
    _, found, of_test = fitted(train, test, options, **how)
    assert found.dense.shape == (3, 2 + 2 * 16) and found.sparse is None
    assert found.dense_names[2] == "title_0" and found.dense_names[-1] == "body_15"
    assert np.isfinite(found.dense[0]).all() and np.isnan(found.dense[2, 2:]).all() and np.isnan(found.dense[1, 18:]).all()
    assert np.allclose(of_test.dense[0], found.dense[0], atol=1e-5)
    monkeypatch.setattr("kit.huggingface.frozen_features", lambda *given, **others: pytest.fail("computed again"))
    assert np.array_equal(fitted(train, test, options, **how)[1].dense, found.dense, equal_nan=True)


def test_frozen_features_of_a_checkpoint_that_was_replaced_are_computed_anew(checkpoint, tmp_path):
    from transformers import AutoModel

    train, how = frame(["red bike", "old"], ["fast", "red"]), {"takes": (), "folder": tmp_path / "cache"}
    _, before, _ = fitted(train, None, {"features": checkpoint}, **how)
    other = AutoModel.from_pretrained(checkpoint)
    with torch.no_grad():
        other.embeddings.word_embeddings.weight.mul_(-1)
    other.save_pretrained(checkpoint)
    _, after, _ = fitted(train, None, {"features": checkpoint}, **how)
    assert not np.allclose(before.dense, after.dense)
    _, again, _ = fitted(train, None, {"features": checkpoint, "weights": checkpoint}, **how)
    assert np.array_equal(again.dense, after.dense)


def test_windows_longer_than_the_frozen_encoder_reads_are_refused(checkpoint):
    with pytest.raises(ConfigError) as caught:
        fitted(frame(["red bike " * 400]), None, {"features": checkpoint, "most_tokens": 600}, takes=())
    assert str(caught.value) == (
        f'encoders.text.features = "{checkpoint}" reads 512 tokens at once, and a window has encoders.text.most_tokens = 600\n'
        "set encoders.text.most_tokens = 512 or less: longer texts are cut into windows"
    )


def test_n_grams_stay_beside_frozen_features_and_neither_is_made_for_a_model_that_takes_tokens(checkpoint):
    train = frame(["red bike", "red bike"])
    _, found, _ = fitted(train, None, {"features": checkpoint}, takes=())
    assert found.sparse.shape[1] == 3 and found.dense.shape == (2, 34)
    _, found, _ = fitted(train, None, {"features": "no/such-place"})
    assert found.dense.shape == (2, 0) and found.media["text"].there.all()
