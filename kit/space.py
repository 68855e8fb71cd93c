"""What `kit tune` may vary of a part: ranges that stand beside its signature, in a class attribute `space`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Real:
    """low to high; evenly in the logarithm if `log`."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Whole:
    """Whole numbers from low to high, both included; evenly in the logarithm if `log`."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True)
class Choice:
    values: tuple[Any, ...]


Space = dict[str, Real | Whole | Choice]  # option -> range
