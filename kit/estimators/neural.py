"""A network from the zoo, trained by Lightning on scaled numbers, categories, hashed n-grams, pictures, texts, sounds, by a fixed schedule."""

import hashlib
import json
from collections.abc import Callable
from copy import copy, deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import normalize

from kit.encoders import Examples, Features
from kit.errors import ConfigError, DataError
from kit.estimators import Setup
from kit.estimators._network_options import check
from kit.files import whole
from kit.heap import keeping
from kit.hearing import Hearing, divided
from kit.loggers import check as check_loggers
from kit.loggers import opened
from kit.registry import find, needed, takes_of
from kit.space import Choice, Real, Whole
from kit.transforms import Augment
from kit.zoo._asking import of_media, of_tables
from kit.zoo._checkpoint import Progress, alone, read
from kit.zoo._head import begin as begin_head
from kit.zoo._measure import measured
from kit.zoo._optimizers import Schedule
from kit.zoo._preparation import Preparation, Rows
from kit.zoo._seeing import answerable, seen
from kit.zoo._supervised import Feeding, Looking, Plan, Supervised, batches_of, predicted
from kit.zoo._training import train as run
from kit.zoo._views import PictureViews, SoundViews, TextViews, Views

_BY_ROWS = {500: (30, 32), 2_000: (16, 64), 20_000: (16, 128), 100_000: (12, 256), 1_000_000: (8, 512), np.inf: (5, 1024)}  # most: epochs, batch
_BY_MEDIA = {500: (40, 16), 5_000: (20, 32), 50_000: (15, 64), np.inf: (10, 128)}
_FURTHER_LR = 0.3  # of the usual rate, for what has been trained already
_LR = 1e-3  # for a network that names none of its own
_ARCHITECTURE = "architecture"  # folder of a fold: what rebuilding the network needs besides its options


class Neural:
    watches = False
    space = {
        "lr": Real(1e-5, 1e-2, log=True), "weight_decay": Real(1e-3, 0.5, log=True), "epochs": Whole(3, 40, log=True), "batch_size": Choice((16, 32, 64, 128, 256)),
    }  # fmt: skip
    media_views = {"image": PictureViews}  # what of a column's pictures training sees

    def __init__(
        self,
        setup: Setup,
        network: type,
        network_options: dict[str, Any],
        *,
        epochs: int = 0,
        batch_size: int = 0,
        accumulate: int = 1,
        sampling: Literal["rows", "classes"] = "rows",
        lr: float = 0.0,
        layer_decay: float = 1.0,
        head_epochs: int = 0,
        freeze_epochs: int = 0,
        freeze_layers: int = 0,
        weight_decay: float = 0.1,
        optimizer: str = "adamw",
        schedule: Schedule = "cosine",
        warmup: float = 0.05,
        clip_norm: float = 1.0,
        ema: float = 0.0,
        numbers: Literal["quantile", "robust"] = "quantile",
        precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "auto",
        channels_last: Literal["auto", "yes", "no"] = "auto",
        workers: int = -1,
        prefetch: int = 0,
        accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto",
        devices: int = 1,
        loggers: list[str] = [],
        further_epochs: int = 0,
    ):
        """
        epochs         0 is chosen by the number of training rows
        batch_size     rows of a step, over all devices; 0 is chosen by the number of training rows
        accumulate     parts that a step's rows are worked through in, for less memory
        sampling       of an epoch: each row once, or as many rows in all, of each class equally many
        lr             at its highest, per step; 0 is what suits the network
        layer_decay    0..1, what a layer's lr is multiplied by for each layer above it
        head_epochs    before the first: epochs of the head alone, on features of one random view of each row that are computed once
        freeze_epochs  first epochs in which only the head learns, with a new view of each row in each
        freeze_layers  first layers, counted from the stem, that never learn: less to spoil, and a quicker step
        weight_decay   per step, times lr; none for biases, norms and tables with sparse gradients
        optimizer      adamw, nadam, sgd, or another of torch or timm by its name
        schedule       of lr over all steps
        warmup         0..1, share of the steps in which lr rises to its highest
        clip_norm      longest gradient of a step, over all weights; 0 is any
        ema            0..1, share of the averaged weights that a step keeps (0.999); 0 averages none
        numbers        their scaling: ranks on the normal curve, or by median and interquartile range
        precision      auto, and channels_last auto: for pictures whatever a short measurement finds quicker, else 32-true
        channels_last  how pictures lie in memory
        workers        processes that read pictures ahead; -1 is measured
        prefetch       batches that each of them is ahead by; 0 is measured
        devices        processes that train together, each with its share of every batch
        loggers        that hear the loss of each epoch: csv, tensorboard, mlflow, wandb; they change nothing else
        further_epochs that follow on all rows with train.final = "further"; 0 is a fifth of the epochs
        """
        self.setup, self.network_type, self.network_options = setup, network, network_options
        self.options = {k: v for k, v in locals().items() if k not in ("self", "setup", "network", "network_options")}
        self.asked_options = network_options  # loading may replace those of the network by what was kept beside it
        self.takes = takes_of(network, network_options)
        self.tokenizer: str = network.tokenizer_for(**network_options) if hasattr(network, "tokenizer_for") else ""
        self.optional: bool = getattr(network, "optional", False)  # a network of many kinds takes those that are there
        self.embeds: bool = getattr(network, "embeds", False)
        self.loss = find("losses", setup.loss)(setup.task, **setup.loss_options)
        self.views: dict[str, Views] = {"text": TextViews()} if "text" in self.takes else {}
        self.augment = self.hearing = None
        seen_options, heard_options = divided(setup.augment)
        if "image" in self.takes:
            self.augment = Augment(**seen_options)
            self.views["image"] = self.media_views["image"](find("transforms", self.augment.transforms)(self.augment), self.augment.size)
        if "audio" in self.takes:
            self.hearing = Hearing(**heard_options)
            self.views["audio"] = SoundViews(self.hearing)
        check(setup, network, network_options, self.loss, self.options, self.augment, self.hearing)
        check_loggers(loggers)
        self.preparation = Preparation(numbers=numbers)
        self.network: torch.nn.Module | None = None
        self.centre, self.spread = np.zeros(1), np.ones(1)  # of the target, each (outputs,) for a regression
        self.prior = np.zeros(setup.outputs)  # the mean answer: for rows without a picture or a sound
        self.history: dict[str, list[float]] = {}

    def ready(self) -> None:
        """Raises ConfigError where weights to start from should come of a package that is not installed; a trained network needs it no more."""
        if {"image", "audio"} & set(self.takes) and self.network_options.get("weights") == "package":
            needed("kit.backbones", 'model.weights = "package"').check_package(self.network_options.get("architecture"))

    @keeping()
    def measure(self, train: Examples) -> dict[str, Any]:
        """What of precision, channels_last, workers and prefetch is left open, as a short trial on this machine decides; nothing for tables."""
        if not self.takes or train.target is None:
            return {}
        train = seen(train, self.takes, self.optional)
        self.preparation.fit(train.features)
        self._check_mixing()
        self._check_background()
        self._fit_target(train.target)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.setup.seed)
            return measured(self._build(), self.loss, self._training_rows(train), self._plan(len(train)), self.views, self._looking(), self.options, self.setup.progress)

    @keeping()
    def fit(self, train: Examples, found: dict) -> None:
        setup = self.setup
        train = seen(train, self.takes, self.optional)
        self.preparation.fit(train.features)
        if train.target is None:
            return self._begin()
        self._check_mixing()
        self._check_background()
        self._fit_target(train.target)
        self.prior = self._mean_answer(train)
        plan = self._plan(len(train))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            self.network = self._build()
            if hasattr(self.network, "start"):
                self.network.start()
            self._learn(train, plan, self._looking(), self.options["head_epochs"])

    def _check_mixing(self) -> None:
        """Raises ConfigError where sounds would be mixed and the columns beside them would not: a row's labels would be of another row's columns, too."""
        inputs = self.preparation.inputs(1)
        if self.hearing is not None and self.hearing.mixup and (inputs.dense or inputs.sizes or inputs.sparse):
            raise ConfigError(
                f"augment.audio.mixup = {self.hearing.mixup} mixes sounds alone, and this model looks at the other columns beside them\n"
                "set it to 0, or drop the columns: input.drop = [...]"
            )

    def _check_background(self) -> None:
        rate = self.preparation.inputs(1).rate
        if self.hearing is not None and self.hearing.background and rate:
            self.hearing.check_background(rate, self.setup.threads, self.setup.progress)

    @keeping()
    def further(self, train: Examples) -> None:
        """A loaded network goes on, at three tenths of its rate and at the full size of pictures, on rows that hold those it has learned from.

        What a loss remembers besides its weights, such as what was said of a row early on, begins anew. A class of embeddings that had no row so far begins
        where its rows lie: training pushed it away from all others.
        """
        train = seen(train, self.takes, self.optional)
        before = self.prior
        kept = self.centre, self.spread
        self._fit_target(train.target)  # how frequent classes are
        self.centre, self.spread = kept
        if self.loss.unit:
            self.loss.in_units_of(torch.tensor(self.spread, dtype=torch.float32))
        self.prior = self._mean_answer(train)
        self._check_background()
        usual = self._plan(len(train))
        if self.embeds and len(fresh := np.flatnonzero((before == 0) & (self.prior > 0))):
            rows = np.flatnonzero(np.isin(train.target, fresh))
            aside = copy(self)  # what answers in inference mode cannot learn afterwards
            aside.network, aside.loss = deepcopy(self.network), deepcopy(self.loss)
            found = aside.embed(train.take(rows))
            means = [found[train.target[rows] == c].mean(axis=0) for c in fresh]
            self.loss.place(torch.from_numpy(fresh), torch.from_numpy(np.stack(means)))
        self.network.train()
        epochs = self.options["further_epochs"] or max(round(usual.epochs / 5), 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.setup.seed + 1)  # rows come in another order, and are seen in other ways, than in the first epochs
            plan = replace(usual, epochs=epochs, lr=_FURTHER_LR * usual.lr, freeze_epochs=0, seed=usual.seed + 1)
            self._learn(train, plan, replace(self._looking(), first_side=0))

    def _learn(self, train: Examples, plan: Plan, looking: Looking, head_epochs: int = 0) -> None:
        setup = self.setup
        identity = self._identity(train, plan, looking)
        progress = read(setup.checkpoints, identity) if setup.checkpoints else Progress()
        if progress.epochs:
            setup.progress(f"going on after epoch {progress.epochs} of {plan.epochs}")
        if progress.epochs == plan.epochs:
            progress.into("network", self.network)
            progress.into("loss", self.loss)
        else:
            rows = self._training_rows(train)
            feeding = self._feeding()
            if head_epochs and not progress.epochs:
                device = device_of(self.options["accelerator"])
                begin_head(self.network, self.loss, rows, self.views, plan, looking, feeding, device, epochs=head_epochs, progress=setup.progress)
            module = Supervised(
                self.network, self.loss, rows, train.ids, plan, progress, setup.checkpoints, identity, self.views, looking, feeding
            )
            run(module, setup.progress, precision=feeding.precision, **self._trainer())
            if self.options["devices"] > 1 and setup.checkpoints:  # the process that counted is gone
                progress = read(setup.checkpoints, identity)
        self.history = progress.history
        self.network.eval()

    def _mean_answer(self, train: Examples) -> np.ndarray:
        """(outputs,)"""
        if self.setup.task == "multiclass":
            shares = np.bincount(train.target, weights=train.weight, minlength=self.setup.outputs)
            return shares / shares.sum()
        return np.average(train.target.reshape(len(train), -1), axis=0, weights=train.weight)

    def _begin(self) -> None:
        """Of rows without labels: the network as it is before a training."""
        if not self.embeds:
            raise ConfigError("there are no labels, which this network learns from\nname a model that embeds: model.name = \"embedder\"")
        self.prior = np.zeros(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.setup.seed)
            self.network = self._build()
        if getattr(self.network, "weights", "none") == "none":
            raise ConfigError('model.weights = "none": there are no labels to learn weights from\nset it to "hub", "package" or a file, such as kit pretrain writes')
        self.setup.progress("no labels: the weights it starts from are used as they are")
        self.network.start()
        self.network.eval()

    @keeping()
    def pretrain(self, examples: Examples, *, method: str, **options: Any) -> tuple[torch.nn.Module, list[float]]:
        """(network, mean loss of each epoch): learns from the pictures, texts or sounds of these rows; whatever target they have is not looked at."""
        setup, augment = self.setup, self.augment
        assert setup.checkpoints is not None and len(self.takes) == 1
        if method == "simclr":
            learn = needed("kit.zoo._selfsupervised", 'pretrain.method = "simclr"').contrasted
            options |= {"transforms": augment.transforms, "flip": augment.flip}
        elif self.takes == ("text",):
            learn, options["share"] = needed("kit.zoo._masked", 'pretrain.method = "masked"').masked, options["share"] or 0.15
        else:
            learn, options["share"], options["hearing"] = needed("kit.zoo._masked_spectra", 'pretrain.method = "masked"').masked, options["share"] or 0.5, self.hearing
        self.preparation.fit(examples.features)
        self._check_background()
        rows = self._prepared(examples.features)
        rows = replace(rows, target=torch.zeros(len(rows)), weight=torch.ones(len(rows)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            if self.embeds:
                self.prior = np.zeros(0)  # no projection: it would be learned for these views alone, and no run starts from it
            network = self._build()
            network.start()
            devices = self._trainer()
            looking = Looking(augment.size if augment is not None else 0)
            losses = learn(network, rows, examples.ids, setup, looking, self._feeding(), setup.checkpoints, devices, **options)
        return network, losses

    def _trainer(self) -> dict[str, Any]:
        """How Lightning runs the training, besides its precision."""
        given, checkpoints = self.options, self.setup.checkpoints
        listening = opened(given["loggers"], checkpoints.parent) if checkpoints else []
        return {"accelerator": given["accelerator"], "devices": given["devices"], "loggers": listening}

    def _looking(self) -> Looking:
        a, sound_mixup = self.augment, 0.0 if self.hearing is None else self.hearing.mixup
        if a is None:
            return Looking(mix_share=1.0, sound_mixup=sound_mixup)
        return Looking(a.size, a.first_size, a.mixup, a.cutmix, a.mix_share, sound_mixup)

    def _feeding(self) -> Feeding:
        given = self.options
        return Feeding(
            "32-true" if given["precision"] == "auto" else given["precision"],
            given["channels_last"] != "no",
            max(given["workers"], 0),
            given["prefetch"] or 2,
        )

    def _build(self) -> torch.nn.Module:
        """The network, and the weights of its loss; of rows without labels, whose prior is empty, a network without outputs."""
        side, seconds = 0 if self.augment is None else self.augment.size, 0.0 if self.hearing is None else self.hearing.seconds
        outputs = len(self.prior)
        network = self.network_type(self.preparation.inputs(outputs, side, seconds), **self.network_options)
        if self.loss.embeds and outputs:
            self.loss.build(network.width, outputs)
        return network

    def _fit_target(self, target: np.ndarray) -> None:
        tensor = torch.from_numpy(np.asarray(target).astype(np.int64 if self.setup.task == "multiclass" else np.float32))
        self.loss.learn(tensor, self.setup.outputs)
        if not self.loss.unit:
            return
        columns = target.reshape(len(target), -1).astype(np.float64)
        if self.loss.unit == "deviation":
            self.centre, spread = columns.mean(axis=0), columns.std(axis=0)
        else:
            if self.setup.loss != "mape" and columns.min() < 0:
                below = int((columns < 0).sum())
                raise DataError(
                    f'the target has {below} values below zero, and train.loss = "{self.setup.loss}" is for counts and amounts\n'
                    'set train.loss = "mse"'
                )
            self.centre, spread = np.zeros(columns.shape[1]), np.abs(columns).mean(axis=0)
        self.spread = np.where(spread > 1e-12, spread, 1.0)
        self.loss.in_units_of(torch.tensor(self.spread, dtype=torch.float32))

    def _training_rows(self, train: Examples) -> Rows:
        rows = self._prepared(train.features)
        target = train.target
        if self.loss.unit:
            target = (target.reshape(len(train), -1) - self.centre) / self.spread
        tensor = torch.from_numpy(target.astype(np.int64 if self.setup.task == "multiclass" else np.float32))
        weight = np.ones(len(train)) if train.weight is None else train.weight / train.weight.mean()
        return replace(rows, target=tensor, weight=torch.from_numpy(weight.astype(np.float32)))

    def _prepared(self, features: Features) -> Rows:
        rows = self.preparation.rows(features)
        return replace(rows, media={kind: block for kind, block in rows.media.items() if kind in self.takes})

    def _plan(self, n: int) -> Plan:
        given = self.options
        epochs, size = next(usual for most, usual in (_BY_MEDIA if self.takes else _BY_ROWS).items() if n <= most)
        epochs, size = given["epochs"] or epochs, given["batch_size"] or size
        if given["accumulate"] > size:
            raise ConfigError(f"train.accumulate = {given['accumulate']}: a step has {size} rows, which make no more parts\nlower it, or set train.batch_size")
        network = self.network_type
        usual = network.lr_for(**self.asked_options) if hasattr(network, "lr_for") else getattr(network, "usual_lr", _LR)
        lr = given["lr"] or usual
        same = ("sampling", "weight_decay", "optimizer", "schedule", "warmup", "clip_norm", "ema", "accumulate", "layer_decay", "freeze_epochs", "freeze_layers")
        return Plan(epochs, size, batches_of(n, size), self.setup.seed, self.setup.threads, lr, **{k: given[k] for k in same})

    def _identity(self, train: Examples, plan: Plan, looking: Looking) -> str:
        """A hash of all that decides what the training does."""
        setup = self.setup
        asked = [setup.task, setup.outputs, setup.loss, setup.loss_options]
        deciding = {k: v for k, v in self.options.items() if k not in ("workers", "prefetch", "loggers")}
        told = [asked, deciding, self.network_type.__qualname__, self.network_options, str(plan)]
        arrays = [*self.preparation.state.values(), train.target, train.weight]
        if self.takes:
            told += [asdict(looking), setup.augment, *(block.key for block in train.features.media.values())]
            arrays += [t.detach().numpy() for t in self.network.state_dict().values()]  # what it starts from, too
        arrays += [t.detach().numpy() for t in self.loss.parameters()]
        identity = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
        for array in arrays:
            identity.update(np.ascontiguousarray(array if array is not None else 0).tobytes())
        return identity.hexdigest()[:16]

    def predict(self, rows: Examples) -> np.ndarray:
        """Raises DataError for a model of rows without labels."""
        if not len(self.prior):
            raise DataError("the training rows had no labels: this model finds what looks alike, and predicts no label")
        without = (self.prior - self.centre) / self.spread if self.loss.unit else self.prior
        raw = self._asked(rows, lambda given: predicted(self.loss, given), without)
        if self.setup.task == "multiclass" and self.hearing is not None and self.hearing.pooling == "max":
            raw /= raw.sum(axis=1, keepdims=True)
        return raw * self.spread + self.centre if self.loss.unit else raw

    def embed(self, rows: Examples) -> np.ndarray:
        """(n, width) float32 of length 1: the mean of the test-time views' directions; zeros for a row without a picture."""
        assert self.embeds, self.network_type
        mean = self._asked(rows, lambda given: normalize(given.float(), dim=1), np.zeros(self.network.width))
        return (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)).astype(np.float32)

    @torch.inference_mode()
    def classify(self, vectors: np.ndarray) -> np.ndarray:
        """(n, classes) probabilities that the loss's weights give to embeddings."""
        assert self.loss.embeds, self.setup.loss
        return self.loss.predict(torch.from_numpy(vectors)).double().numpy()

    @keeping()
    @torch.inference_mode()
    def _asked(self, rows: Examples, link: Callable[[Tensor], Tensor], without: np.ndarray) -> np.ndarray:
        """(n, d) float64

        link     makes (n, d) of what the network gives
        without  (d,) what stands where there is nothing to look at
        """
        torch.set_num_threads(self.setup.threads)
        device = device_of(self.options["accelerator"])
        network = self.network.to(device)
        if self.loss.embeds:
            self.loss.to(device)
        raw = np.tile(without, (len(rows), 1)).astype(np.float64)
        there = np.flatnonzero(answerable(rows.features, self.takes, self.optional))
        if len(there):
            prepared = self._prepared((rows if len(there) == len(rows) else rows.take(there)).features)
            if self.takes:
                pooling = "mean" if self.hearing is None else self.hearing.pooling
                raw[there] = of_media(network, prepared, self.views, self._feeding(), device, link, pooling)
            else:
                raw = of_tables(network, prepared, device, link)
        self.network.cpu()
        if self.loss.embeds:
            self.loss.cpu()
        return raw

    def save(self, folder: Path) -> None:
        arrays = {f"preparation.{k}": v for k, v in self.preparation.state.items()} | {"target.centre": self.centre, "target.spread": self.spread, "target.prior": self.prior}
        weights = {f"loss.{k}": v.detach() for k, v in self.loss.named_parameters()}  # what it learned of the rows, predictions need not
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()} | weights | {k: torch.from_numpy(v) for k, v in arrays.items()}
        with whole(folder / "model.safetensors") as temporary:
            save_file({k: alone(v) for k, v in tensors.items()}, temporary)
        if hasattr(self.network, "keep"):
            self.network.keep(folder / _ARCHITECTURE)

    def load(self, folder: Path) -> None:
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "loss": {}, "preparation": {}, "target": {}}
        for key, tensor in load_file(folder / "model.safetensors").items():
            part, _, name = key.partition(".")
            parts[part][name] = tensor
        self.preparation.state = {k: v.numpy() for k, v in parts["preparation"].items()}
        self.centre, self.spread = parts["target"]["centre"].numpy(), parts["target"]["spread"].numpy()
        self.prior = parts["target"]["prior"].numpy()
        if (folder / _ARCHITECTURE).is_dir():
            self.network_options = self.network_type.kept(self.network_options, folder / _ARCHITECTURE)
        with torch.random.fork_rng(devices=[]):
            self.network = self._build()
        self.network.load_state_dict(parts["network"])
        with torch.no_grad():
            for name, weight in self.loss.named_parameters():
                weight.copy_(parts["loss"][name])
        self.network.eval()


def device_of(accelerator: str) -> torch.device:
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
