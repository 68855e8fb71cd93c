"""Text and values in, HTML out: whatever is not markup already is escaped, so that no id and no class of the data can become an element.

Numbers have few digits here; the run's files have them all.
"""

import html
import math
import re
from typing import Any

# what HTML cannot hold, half characters, and marks that turn the direction of all that follows
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]")
_VOID = ("img", "meta", "link", "br")


class Html(str):
    """Text that is markup: it is not escaped again."""


def clean(value: Any, most: int = 0) -> str:
    """The value as one text that any page can hold.

    most  characters that are kept; 0 is all
    """
    text = _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", str(value))
    return f"{text[: most - 1]}…" if most and len(text) > most else text


def escaped(value: Any) -> str:
    return value if isinstance(value, Html) else html.escape(clean(value), quote=True)


def el(name: str, /, *inside: Any, **attributes: Any) -> Html:
    """An element. Attributes are escaped too; `class_` is class, `stroke_width` is stroke-width, and None leaves an attribute out."""
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{escaped(value)}"' for key, value in attributes.items() if value is not None)
    if name in _VOID:
        return Html(f"<{name}{told}>")
    return Html(f"<{name}{told}>{''.join(map(escaped, inside))}</{name}>")


def joined(parts: list[Html], between: str = "") -> Html:
    return Html(between.join(parts))


def number(value: float, digits: int = 4) -> str:
    """With so many digits that count; whole numbers from 10,000 with thin spaces between thousands."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e12:
        told = f"{int(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}" if abs(value) >= 10_000 else "")
        return told.replace("-", "−")
    size = abs(value)
    if size >= 10**digits:
        return number(round(value))
    if size < 1e-4:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    return f"{value:.{max(digits - 1 - math.floor(math.log10(size)), 0)}f}".replace("-", "−")


def signed(value: float, digits: int = 4) -> str:
    return ("+" if value > 0 else "") + number(value, digits)


def seconds(value: float) -> str:
    """As a person says it: 0.84 s, 12 s, 4 min 10 s, 2 h 05 min."""
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def megabytes(value: float) -> str:
    return f"{value / 1024:.1f} GB" if value >= 1024 else f"{value:.0f} MB"
