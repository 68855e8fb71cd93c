"""Learning from hidden parts of spectrograms: which are hidden, that they are told better than by the mean, and that it goes on after a stop."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("soundfile")

from kit.clips import Clips, gather
from kit.errors import ConfigError
from kit.hearing import Hearing
from kit.zoo._inputs import Inputs
from kit.zoo._masked_spectra import PATCH, masked, patches
from kit.zoo._preparation import Rows
from kit.zoo._supervised import Feeding, Looking
from kit.zoo.audio_cnn import AudioCnn
from kit.zoo.text_cnn import TextCnn

RATE, N = 8000, 32
HOW = {"epochs": 20, "batch_size": 8, "lr": 1e-2, "share": 0.5}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def rows_of():
    """Tones that last: whoever hears one moment can tell another."""
    random, time = np.random.default_rng(0), np.arange(RATE) / RATE
    cells = np.empty(N, dtype=object)
    for n, height in enumerate(random.uniform(200, 3000, N)):
        cells[n] = (0.5 * np.sin(2 * np.pi * height * time)).astype(np.float32)
    clips = Clips(gather(cells, folder=None, rate=RATE, cache="never", threads=1, progress=lambda line: None), np.arange(N))
    nothing = torch.zeros(N, 0)
    return Rows(nothing, nothing.int(), target=torch.zeros(N), weight=torch.ones(N), media={"audio": clips})


def network_of():
    torch.manual_seed(0)
    return AudioCnn(Inputs(0, (), 0, 2, rate=RATE, seconds=1.0), width=8, blocks=2, mels=32)


def told(network, folder, progress=lambda line: None):
    setup = SimpleNamespace(seed=0, threads=1, progress=progress)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return masked(network, rows_of(), np.arange(N), setup, Looking(), Feeding(), folder, {"accelerator": "cpu", "devices": 1}, hearing=Hearing(seconds=1.0), **HOW)


def test_whole_patches_are_hidden_about_as_many_as_asked():
    torch.manual_seed(0)
    hidden = patches(torch.zeros(50, 40, 100), 0.5)
    assert hidden.shape == (50, 40, 100) and hidden[:, :32, :96].float().mean().item() == pytest.approx(0.5, abs=0.05)
    squares = hidden[:, :32, :96].unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH).flatten(3)
    assert torch.equal(squares.all(dim=3), squares.any(dim=3))


def test_what_is_hidden_is_learned_from_what_is_not(tmp_path):
    losses = told(network_of(), tmp_path)
    assert len(losses) == HOW["epochs"] and losses[-1] < 0.7 * losses[0]


def test_it_goes_on_after_a_stop_to_the_same_weights(tmp_path):
    whole, stopped = network_of(), network_of()
    told(whole, tmp_path / "a")

    def stop(line):
        if line.startswith("epoch 5"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told(stopped, tmp_path / "b", stop)
    again = network_of()
    assert len(told(again, tmp_path / "b")) < HOW["epochs"]
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), again.state_dict().values()))


def test_a_network_without_a_map_is_refused(tmp_path):
    network = TextCnn(Inputs(0, (), 0, 2, vocabulary=20, longest=8))
    with pytest.raises(ConfigError, match='name one: model.name = "spectrogram" or "audio_cnn"'):
        told(network, tmp_path)
