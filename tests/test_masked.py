"""Learning from hidden words: which are hidden, what tells them, and that it goes on after a stop to the same weights."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from kit.errors import ConfigError
from kit.tokens import Tokens
from kit.zoo._inputs import Inputs
from kit.zoo._masked import concealed, masked
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking
from kit.zoo.text_cnn import TextCnn
from kit.zoo.transformer import Transformer

VOCABULARY = 30
HOW = {"epochs": 20, "batch_size": 16, "lr": 5e-3, "share": 0.3}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def rows_of(n=64, masked=4):
    """Texts of one word, said over and over: whoever reads the others can tell a hidden one."""
    random = np.random.default_rng(0)
    bodies = [[5 + word] * length for word, length in zip(random.integers(6, size=n), random.integers(6, 12, size=n))]
    ids = np.concatenate(bodies).astype(np.int32)
    starts = np.cumsum([0, *map(len, bodies)])
    texts = Tokens(ids, starts, np.zeros(len(ids), np.int8), [2], [3], 0, VOCABULARY, 16, "made", masked)
    nothing = torch.zeros(n, 0)
    return Rows(nothing, nothing.int(), target=torch.zeros(n), weight=torch.ones(n), media={"text": texts})


def network_of():
    torch.manual_seed(0)
    return Transformer(Inputs(0, (), 0, 2, vocabulary=VOCABULARY, longest=16), architecture="bert", weights="none", width=32, blocks=1, heads=2, dropout=0.0)


def told(network, rows, folder, progress=lambda line: None):
    setup = SimpleNamespace(seed=0, threads=1, progress=progress)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return masked(network, rows, np.arange(len(rows)), setup, Looking(), Feeding(), folder, {"accelerator": "cpu", "devices": 1}, **HOW)


def test_the_asked_share_of_tokens_is_hidden_and_no_special_one():
    torch.manual_seed(0)
    tokens = torch.randint(5, VOCABULARY, (200, 50))
    tokens[:, 0], tokens[:, -10:] = 2, 0
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[:, -10:] = False
    changed, hidden = concealed(tokens, mask, masked=4, special=torch.tensor([2, 3, 0]), share=0.15, vocabulary=VOCABULARY)
    assert not hidden[:, 0].any() and not hidden[:, -10:].any()
    assert hidden[:, 1:40].float().mean().item() == pytest.approx(0.15, abs=0.02)
    assert torch.equal(changed[~hidden], tokens[~hidden])
    assert (changed[hidden] == 4).float().mean().item() == pytest.approx(0.8 + 0.1 / VOCABULARY, abs=0.04)
    assert (changed[hidden] == tokens[hidden]).float().mean().item() == pytest.approx(0.1 + 0.1 / VOCABULARY, abs=0.04)


def test_hidden_words_are_learned_and_the_head_of_the_task_is_left_alone(tmp_path):
    network = network_of()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    losses = told(network, rows_of(), tmp_path)
    assert len(losses) == 20 and losses[-1] < np.log(6) - 0.5, "no better than the share of each token: the neighbours are not read"
    after = network.state_dict()
    assert all(torch.equal(after[k], before[k]) for k in network.head())
    assert not torch.equal(after["body.encoder.layer.0.output.dense.weight"], before["body.encoder.layer.0.output.dense.weight"])


def test_a_stop_changes_nothing(tmp_path):
    def stop(line):
        if line.startswith("epoch 5 "):
            raise KeyboardInterrupt

    whole, halved = network_of(), network_of()
    told(whole, rows_of(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        told(halved, rows_of(), tmp_path / "halved", stop)
    halved = network_of()
    assert len(told(halved, rows_of(), tmp_path / "halved")) == 15
    assert all(torch.equal(v, whole.state_dict()[k]) for k, v in halved.state_dict().items())


def test_no_output_for_each_token_or_no_sign_for_a_hidden_one_is_refused(tmp_path):
    with pytest.raises(ConfigError, match='model.name = "transformer"'):
        told(TextCnn(Inputs(0, (), 0, 2, vocabulary=VOCABULARY, longest=16)), rows_of(), tmp_path)
    with pytest.raises(ConfigError, match="the tokenizer has no sign for a hidden token"):
        told(network_of(), rows_of(masked=-1), tmp_path)
