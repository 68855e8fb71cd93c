"""What can go wrong through no fault of kit: each is printed without a traceback, and the command exits with 1.

Our own mistakes are asserts, or are left to raise, with a traceback.
"""

import difflib
from collections.abc import Iterable


class KitError(Exception):
    """A mistake the user can mend. The first line stands alone; further lines say where, what was expected, what to do."""


class ConfigError(KitError):
    """config.toml or a KEY=VALUE override asks for something that is not there."""


class DataError(KitError):
    """A data file, or a value in it, is not what the config says."""


class FoldError(KitError):
    """The rows cannot be split as asked."""


class ScoreError(KitError):
    """The metric is not defined for these rows.

    alike  whether their true answers are all the same, so that no prediction would mend it
    """

    def __init__(self, message: str, *, alike: bool = False):
        super().__init__(message)
        self.alike = alike


class SubmissionError(KitError):
    """A submission does not match the sample file or the test ids."""


class RunError(KitError):
    """A run folder cannot be made, read or continued."""


class TrainingError(KitError):
    """A model cannot go on, for instance because its loss is not a number."""


class DependencyError(KitError):
    """A part needs a library that an extra installs."""


def bullets(problems: Iterable[str]) -> str:
    """All problems at once: the first on the first line, the others below it."""
    return "\n".join(problems)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean "alpha"?)`, or the known words where none is near, or nothing where none is known."""
    known = sorted(known)
    lower = {k.lower(): k for k in reversed(known)}
    near = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    if near:
        return f' (did you mean "{lower[near[0]]}"?)'
    return f" (known: {', '.join(known)})" if known else ""


def shorten(values: Iterable[object], limit: int = 5) -> str:
    """The first few values, and how many more there are."""
    values = list(values)
    more = f", and {len(values) - limit} more" if len(values) > limit else ""
    return ", ".join(str(value) for value in values[:limit]) + more
