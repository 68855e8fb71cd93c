"""Loggers: what a network's training tells of each epoch goes where a person looks at curves. Off unless train.loggers names some.

A file each, holding one class: a logger of Lightning that is made with `folder`, that of what is trained (`runs/3-mlp/fold-0`), and
writes below `folder/logs/` unless it has a server. It hears the loss and the learning rate of each epoch, and decides nothing.
"""

import shutil
from pathlib import Path
from typing import Any

from kit.errors import ConfigError, KitError, bullets
from kit.registry import find

_HOMES = ("runs", "pretrained")  # folders whose entries are trainings


def check(names: list[str]) -> None:
    """Raises ConfigError for names of no logger, and for those whose library is missing, with what installs it: all at once."""
    problems = [f"train.loggers names {name} twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for name in dict.fromkeys(names):
        try:
            find("loggers", name)
        except KitError as error:
            problems.append(f"train.loggers: {error}")
    if problems:
        raise ConfigError(bullets(problems))


def opened(names: list[str], folder: Path) -> list[Any]:
    """The loggers of one training. What an interrupted one left is removed: its epochs are told again.

    folder  of the fold
    """
    for name in names:
        shutil.rmtree(folder / "logs" / name, ignore_errors=True)
    return [find("loggers", name)(folder) for name in names]


def titles(folder: Path) -> tuple[str, str]:
    """(competition, run and fold) of the folder: what a server files a training under."""
    home = home_of(folder)
    return home.name, "/".join(folder.absolute().parts[len(home.parts) + 1 :])


def home_of(folder: Path) -> Path:
    """competitions/NAME of a folder in its runs; of any other the folder two above."""
    whole = folder.absolute()
    return next((above.parent for above in whole.parents if above.name in _HOMES), whole.parent.parent)
