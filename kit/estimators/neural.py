"""A network from the zoo, trained by Lightning on scaled numbers, category codes and hashed n-grams, by a fixed schedule."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from kit.encoders import Examples
from kit.errors import ConfigError, DataError, shorten
from kit.estimators import Setup
from kit.files import whole
from kit.registry import find, names
from kit.zoo._checkpoint import Progress, read
from kit.zoo._optimizers import Name, Schedule
from kit.zoo._preparation import Preparation, Rows
from kit.zoo._supervised import Plan, Supervised, batches_of, predicted
from kit.zoo._training import train as run

_BY_ROWS = {500: (30, 32), 2_000: (16, 64), 20_000: (16, 128), 100_000: (12, 256), 1_000_000: (8, 512), np.inf: (5, 1024)}  # most: epochs, batch
_LR = 1e-3  # for a network that names none of its own
_ROWS_AT_ONCE = 4096  # in prediction


class Neural:
    watches = False

    def __init__(
        self,
        setup: Setup,
        network: type,
        network_options: dict[str, Any],
        *,
        epochs: int = 0,
        batch_size: int = 0,
        lr: float = 0.0,
        weight_decay: float = 0.1,
        optimizer: Name = "adamw",
        schedule: Schedule = "cosine",
        warmup: float = 0.05,
        clip_norm: float = 1.0,
        ema: float = 0.0,
        numbers: Literal["quantile", "robust"] = "quantile",
        precision: Literal["32-true", "bf16-mixed"] = "32-true",
        accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto",
        devices: int = 1,
    ):
        """
        epochs        0 is chosen by the number of training rows
        batch_size    rows of a step, over all devices; 0 is chosen by the number of training rows
        lr            at its highest, per step; 0 is what suits the network
        weight_decay  per step, times lr; none for biases, norms and tables with sparse gradients
        schedule      of lr over all steps
        warmup        0..1, share of the steps in which lr rises to its highest
        clip_norm     longest gradient of a step, over all weights; 0 is any
        ema           0..1, share of the averaged weights that a step keeps (0.999); 0 averages none
        numbers       their scaling: ranks on the normal curve, or by median and interquartile range
        devices       processes that train together, each with its share of every batch
        """
        self.setup, self.network_type, self.network_options = setup, network, network_options
        self.options = {k: v for k, v in locals().items() if k not in ("self", "setup", "network", "network_options")}
        self.loss = find("losses", setup.loss)(setup.task, **setup.loss_options)
        if setup.task not in self.loss.tasks:
            serving = [n for n in names("losses") if setup.task in find("losses", n).tasks]
            raise ConfigError(
                f'train.loss = "{setup.loss}" is a loss for {shorten(self.loss.tasks)}, and output.task is "{setup.task}"\n'
                f"set train.loss to one that serves it: {shorten(serving, 20)}"
            )
        self.preparation = Preparation(numbers=numbers)
        self.network: torch.nn.Module | None = None
        self.centre, self.spread = np.zeros(1), np.ones(1)  # of the target, each (outputs,) for a regression

    def fit(self, train: Examples, found: dict) -> None:
        setup = self.setup
        self.preparation.fit(train.features)
        self._fit_target(train.target)
        plan = self._plan(len(train))
        identity = self._identity(train, plan)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(setup.seed)
            self.network = self._build()
            progress = read(setup.checkpoints, identity) if setup.checkpoints else Progress()
            if progress.epochs:
                setup.progress(f"going on after epoch {progress.epochs} of {plan.epochs}")
            if progress.epochs == plan.epochs:
                self.network.load_state_dict({**progress.network, **progress.averaged})
            else:
                rows = self._training_rows(train)
                module = Supervised(self.network, self.loss, rows, train.ids, plan, progress, setup.checkpoints, identity)
                run(module, setup.progress, **{k: self.options[k] for k in ("accelerator", "devices", "precision")})
        self.network.eval()

    def _build(self) -> torch.nn.Module:
        return self.network_type(self.preparation.inputs(self.setup.outputs), **self.network_options)

    def _fit_target(self, target: np.ndarray) -> None:
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
        rows = self.preparation.rows(train.features)
        target = train.target
        if self.loss.unit:
            target = (target.reshape(len(train), -1) - self.centre) / self.spread
        tensor = torch.from_numpy(target.astype(np.int64 if self.setup.task == "multiclass" else np.float32))
        weight = np.ones(len(train)) if train.weight is None else train.weight / train.weight.mean()
        return Rows(**rows.tensors(), target=tensor, weight=torch.from_numpy(weight.astype(np.float32)))

    def _plan(self, n: int) -> Plan:
        given = self.options
        epochs, size = next(usual for most, usual in _BY_ROWS.items() if n <= most)
        epochs, size = given["epochs"] or epochs, given["batch_size"] or size
        lr = given["lr"] or getattr(self.network_type, "usual_lr", _LR)
        same = ("weight_decay", "optimizer", "schedule", "warmup", "clip_norm", "ema")
        return Plan(epochs, size, batches_of(n, size), self.setup.seed, self.setup.threads, lr, **{k: given[k] for k in same})

    def _identity(self, train: Examples, plan: Plan) -> str:
        """A hash of all that decides what the training does."""
        setup = self.setup
        asked = [setup.task, setup.outputs, setup.loss, setup.loss_options]
        told = [asked, self.options, self.network_type.__qualname__, self.network_options, str(plan)]
        identity = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
        for array in (*self.preparation.state.values(), train.target, train.weight):
            identity.update(np.ascontiguousarray(array if array is not None else 0).tobytes())
        return identity.hexdigest()[:16]

    @torch.inference_mode()
    def predict(self, rows: Examples) -> np.ndarray:
        torch.set_num_threads(self.setup.threads)
        prepared = self.preparation.rows(rows.features)
        device = _device(self.options["accelerator"])
        network, parts = self.network.to(device), []
        for some in torch.arange(len(rows)).split(_ROWS_AT_ONCE):
            batch = {k: v.to(device) for k, v in prepared.batch(some).items()}
            parts.append(predicted(self.loss, network(batch)).cpu())
        self.network.cpu()
        raw = torch.cat(parts).double().numpy() if len(rows) else np.empty((0, self.setup.outputs))
        return raw * self.spread + self.centre if self.loss.unit else raw

    def save(self, folder: Path) -> None:
        arrays = {f"preparation.{k}": v for k, v in self.preparation.state.items()} | {"target.centre": self.centre, "target.spread": self.spread}
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()} | {k: torch.from_numpy(v) for k, v in arrays.items()}
        with whole(folder / "model.safetensors") as temporary:
            save_file({k: v.contiguous() for k, v in tensors.items()}, temporary)

    def load(self, folder: Path) -> None:
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "preparation": {}, "target": {}}
        for key, tensor in load_file(folder / "model.safetensors").items():
            part, _, name = key.partition(".")
            parts[part][name] = tensor
        self.preparation.state = {k: v.numpy() for k, v in parts["preparation"].items()}
        self.centre, self.spread = parts["target"]["centre"].numpy(), parts["target"]["spread"].numpy()
        with torch.random.fork_rng(devices=[]):
            self.network = self._build()
        self.network.load_state_dict(parts["network"])
        self.network.eval()


def _device(accelerator: str) -> torch.device:
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return torch.device("cuda")
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
