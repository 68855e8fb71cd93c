"""Runs a module through Lightning's Trainer as kit wants it: quiet, repeatable, on one device or several, and interrupted with the usual exit codes."""

import logging
import multiprocessing
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch.multiprocessing import ProcessRaisedException

from kit.errors import TrainingError
from kit.heap import keeping
from kit.zoo._checkpoint import SafetensorsIO
from kit.zoo._supervised import Supervised

_LOGGERS = ("pytorch_lightning", "lightning_fabric")


def train(
    module: Supervised, progress: Callable[[str], None], *, accelerator: str, devices: int, precision: str, loggers: Sequence[Any] = ()
) -> None:
    """Trains the module's network in place.

    progress  called with a line for people after each epoch
    loggers   of Lightning, that hear the loss of each epoch
    Raises TrainingError, from whichever process it comes.
    """
    some_stand_still = module.plan.freeze_epochs + module.plan.freeze_layers > 0
    some_are_idle = getattr(module.network, "finds", False)  # of a detector the trunk's maps that it does not look at, and what pictures without objects leave out
    with _quiet(), _reporting(module, progress, devices):
        trainer = Trainer(
            max_epochs=module.plan.epochs - module.progress.epochs,
            accelerator=accelerator,
            devices=devices,
            strategy=_Spawned(start_method="spawn", find_unused_parameters=some_stand_still or some_are_idle) if devices > 1 else "auto",  # plain ddp would start the whole command again
            precision=precision,
            use_distributed_sampler=False,  # each process asks for its share already: Lightning would leave out half of that again
            accumulate_grad_batches=module.plan.accumulate,
            plugins=[SafetensorsIO()],
            deterministic=True,
            logger=list(loggers),
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        try:
            trainer.fit(module)
        except SIGTERMException:
            raise SystemExit(143) from None  # Lightning's own has no exit code
        except SystemExit as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into exit code 1
                raise KeyboardInterrupt from None
            raise


class _Spawned(DDPStrategy):
    def setup_environment(self) -> None:  # the first that a new process does
        _hush()
        self.kept = keeping()  # until the process ends
        self.kept.__enter__()
        super().setup_environment()


def _hush() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)  # Lightning 2.6 with torch 2.14


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's lines about devices and ends of training stay away, as kit has its own; its settings of torch are taken back."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    deterministic, filled = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # of each new tensor: costs some percent, and tells only of reading what was never written
    try:
        with warnings.catch_warnings():
            _hush()
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        torch.use_deterministic_algorithms(deterministic)
        torch.utils.deterministic.fill_uninitialized_memory = filled


@contextmanager
def _reporting(module: Supervised, progress: Callable[[str], None], devices: int) -> Iterator[None]:
    """Lines, and errors that are the user's to mend, find their way here from the processes of a training on many devices."""
    if devices == 1:
        module.report = progress
        yield
        return
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    module.report = queue.put
    errors: list[TrainingError] = []

    def listen() -> None:
        while (item := queue.get()) is not None:
            if isinstance(item, TrainingError):
                errors.append(item)
            else:
                progress(item)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    except ProcessRaisedException:
        queue.put(None)
        listener.join()
        if errors:
            raise errors[0] from None
        raise
    else:
        queue.put(None)
        listener.join()
