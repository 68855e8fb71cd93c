"""Estimators: anything that fits training rows and predicts other rows.

A file each, holding one class. `__init__(setup, *, options)` stores; `fit(train, found)` fits; `predict(rows)` gives what the task
decodes: (n,) or (n, outputs), probabilities for classes. An estimator that must watch other rows to know when to stop has
`watches = True` and `watch(train, watched)`, whose findings are handed to `fit`. One that reads column kinds as they are, such as
pictures, names them in `takes`; one that starts from what may not be installed says so in `ready()`, before data are read; one whose speed
depends on the machine has `measure(train)`, which gives values of [train]. One that learns step by step may keep `history`: a name -> numbers,
the step first, such as the epoch, then the losses. `save(folder)` and `load(folder)` use text and safetensors only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from kit.files import whole


@dataclass(frozen=True)
class Setup:
    """What every estimator is told.

    outputs     numbers to predict for a row
    classes     of them, for tasks that have classes
    loss        name and options; always resolved
    progress    called with a line for people
    checkpoints a folder for what makes an interrupted fit go on; None for fits that need not
    augment     values of [augment], for models that take pictures
    """

    task: str
    outputs: int
    loss: str
    loss_options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    progress: Callable[[str], None] = lambda line: None
    checkpoints: Path | None = None
    augment: dict[str, Any] = field(default_factory=dict)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with whole(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load(path.read_bytes())
