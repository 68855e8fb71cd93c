"""What the parts of a report hand to the page: cards with a chart, and rows in the order of their errors."""

from dataclasses import dataclass, field

import numpy as np

from kit.reporting.markup import Html, el


@dataclass(frozen=True)
class Card:
    """
    note  one sentence below the title
    wide  whether it takes a whole line of the page
    """

    title: str
    body: Html
    note: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Judged:
    """Rows and how wrong their answers are.

    ids          (n,) text
    errors       (n,) float, greater is worse
    said, true   (n,) in words
    right        (n,) bool, or None where an answer is neither right nor wrong
    measure      what the errors are, in words
    classes      (n,) text by which good examples are varied; none where there is nothing to vary
    found        of a search, for each row what it found first: (id, whether it is right); empty elsewhere
    """

    ids: np.ndarray
    errors: np.ndarray
    said: list[str]
    true: list[str]
    right: np.ndarray | None
    measure: str
    classes: list[str] = field(default_factory=list)
    found: list[list[tuple[str, bool]]] = field(default_factory=list)


def legend(*named: tuple[str, str]) -> Html:
    """(class, name) pairs."""
    return el("div", *(el("span", el("i", "", class_=f"key {class_}"), name) for class_, name in named), class_="legend")


def together(*parts: Html) -> Html:
    return Html("".join(parts))
