"""Numbers in, inline SVG out: axes with round ticks, and marks on them. Colours are the page's, by class, so that they follow light and dark.

All charts are drawn 340 units wide, about what a phone shows, so that their text keeps its size there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kit.reporting.markup import Html, clean, el, joined, number

WIDTH, HEIGHT = 340, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 36
_LETTER = 5.6  # units that a character of a label is wide, about


@dataclass(frozen=True)
class Axis:
    """
    low, high  the values at its ends
    label      what it measures, with its unit
    log        whether it is logarithmic; both ends are above 0 then
    whole      whether it counts: no ticks between whole numbers
    """

    low: float
    high: float
    label: str = ""
    log: bool = False
    whole: bool = False

    @staticmethod
    def over(values: Sequence[float] | np.ndarray, label: str = "", *, log: bool = False, from_zero: bool = False) -> "Axis":
        """One on which all finite values have room."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known) & ((known > 0) | (not log))]
        low, high = (float(known.min()), float(known.max())) if len(known) else (1.0, 2.0) if log else (0.0, 1.0)
        low = min(low, 0.0) if from_zero else low
        if log:
            return Axis(low / 1.1, high * 1.1, label, True)
        room = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
        return Axis(low if from_zero else low - room, high + room, label)

    def share(self, value: float) -> float:
        """0 at the low end, 1 at the high end."""
        if self.log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values within it."""
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            if len(powers) > 2:
                return [10.0**p for p in powers][:: -(-len(powers) // most)]
            few = [m * 10.0**p for p in range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1) for m in (1, 2, 5)]
            if len(inside := [v for v in few if self.low <= v <= self.high]) > 1:
                return inside
        rough = (self.high - self.low) / most
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * 0.999 and (not self.whole or unit * m % 1 == 0 or m == 10))
        step = max(step, 1.0) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        return [round(n * step, 12) for n in range(first, math.floor(self.high / step + 1e-9) + 1)]


class Plot:
    """Marks on two axes, drawn in the order in which they are asked for."""

    def __init__(self, x: Axis, y: Axis, title: str, *, width: int = WIDTH, height: int = HEIGHT, left: int = _LEFT, x_ticks: list[tuple[float, str]] | None = None):
        """
        title    what it shows, for those who do not see it
        x_ticks  (value, text) in the place of round values
        """
        y_ticks = [(v, _short(v)) for v in y.ticks()]
        room = round(22 + _LETTER * max((len(text) for _, text in y_ticks), default=0))  # of their texts, and of the label beside them
        self.x, self.y, self.title, self.size, self.left = x, y, title, (width, height), max(left, room if y.label else 0)
        self.marks: list[Html] = []
        self._frame([(v, _short(v)) for v in x.ticks()] if x_ticks is None else x_ticks, y_ticks)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        width, height = self.size
        across = self.left + self.x.share(x) * (width - self.left - _RIGHT)
        return round(across, 1), round(height - _BOTTOM - self.y.share(y) * (height - _TOP - _BOTTOM), 1)

    def _frame(self, x_ticks: list[tuple[float, str]], y_ticks: list[tuple[float, str]]) -> None:
        width, height = self.size
        for value, text in y_ticks:
            _, y = self._at(self.x.low, value)
            self.marks.append(el("line", x1=self.left, x2=width - _RIGHT, y1=y, y2=y, class_="grid"))
            self.marks.append(el("text", text, x=self.left - 6, y=y + 3.5, class_="tick end"))
        for value, text in x_ticks:
            x, _ = self._at(value, self.y.low)
            self.marks.append(el("text", text, x=x, y=height - _BOTTOM + 15, class_="tick mid"))
        self.marks.append(el("line", x1=self.left, x2=width - _RIGHT, y1=height - _BOTTOM, y2=height - _BOTTOM, class_="axis"))
        self.marks.append(el("text", clean(self.x.label, 56), x=(self.left + width - _RIGHT) / 2, y=height - 4, class_="label mid"))
        if self.y.label:
            self.marks.append(el("text", clean(self.y.label, 34), class_="label mid", transform=f"translate(10 {(_TOP + height - _BOTTOM) / 2:.0f}) rotate(-90)"))

    def line(self, x: Sequence[float], y: Sequence[float], class_: str = "a", told: str = "") -> None:
        points = " ".join("{:g},{:g}".format(*self._at(*pair)) for pair in zip(x, y) if np.isfinite(pair[1]))
        self.marks.append(el("polyline", el("title", told), points=points, class_=f"line {class_}"))

    def reference(self, *, x: float | None = None, y: float | None = None, class_: str = "reference", told: str = "") -> None:
        """A line across, at x or at y."""
        one = self._at(self.x.low if x is None else x, self.y.low if y is None else y)
        other = self._at(self.x.high if x is None else x, self.y.high if y is None else y)
        self.marks.append(el("line", el("title", told), x1=one[0], y1=one[1], x2=other[0], y2=other[1], class_=class_))

    def dots(self, x: Sequence[float], y: Sequence[float], class_: str = "a", radius: float = 2.2, told: Sequence[str] = ()) -> None:
        titles = [*told] or [""] * len(x)
        for pair, text in zip(zip(x, y), titles):
            at = self._at(*pair)
            inside = [el("title", clean(text, 120))] if text else []
            self.marks.append(el("circle", *inside, cx=at[0], cy=at[1], r=radius, class_=f"dot {class_}"))

    def bars(self, edges: Sequence[float], heights: Sequence[float], class_: str = "a", told: Sequence[str] = ()) -> None:
        """Bars from 0, each between two edges."""
        for low, high, value, text in zip(edges[:-1], edges[1:], heights, [*told] or [number(v) for v in heights]):
            if value > 0:
                one, other = self._at(low, value), self._at(high, 0)
                width, height = max(other[0] - one[0] - 1, 0.5), other[1] - one[1]
                self.marks.append(el("rect", el("title", text), x=one[0] + 0.5, y=one[1], width=round(width, 1), height=round(height, 1), class_=f"bar {class_}"))

    def whisker(self, x: float, low: float, high: float, class_: str = "a") -> None:
        one, other = self._at(x, low), self._at(x, high)
        self.marks.append(el("line", x1=one[0], x2=other[0], y1=one[1], y2=other[1], class_=f"line {class_}"))

    def svg(self) -> Html:
        return svg(self.marks, *self.size, self.title)


def svg(marks: list[Html], width: int, height: int, title: str) -> Html:
    return el("svg", el("title", title), joined(marks), viewBox=f"0 0 {width} {height}", role="img", class_="chart")


@dataclass(frozen=True)
class Row:
    """
    low, high  of its interval
    strong     whether it is what the chart is about
    mark       another value beside it, as a line across its bar
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    strong: bool = True
    told: str = ""
    mark: float | None = None


def rows_chart(rows: list[Row], label: str, title: str, *, bars: bool = False, references: Sequence[tuple[float, str]] = ()) -> Html:
    """A row each: its name, and a dot with its interval, or a bar from 0.

    references  (value, class) of lines through all rows
    """
    values = [v for r in rows for v in (r.value, r.low, r.high, r.mark) if v is not None] + [value for value, _ in references]
    axis = Axis.over(values, label, from_zero=bars)
    left = min(round(14 + _LETTER * max(min(len(r.label), 22) for r in rows)), 150)
    step, top = 19 if len(rows) <= 24 else 14, 8
    height = top + step * len(rows) + 36
    width, bottom, marks = WIDTH, top + step * len(rows) + 2, []
    told_apart = any(not r.strong for r in rows)
    right = 50 if bars else 16

    def across(value: float) -> float:
        return round(left + axis.share(value) * (width - left - right), 1)

    for value in axis.ticks(4):
        marks += [el("line", x1=across(value), x2=across(value), y1=top, y2=bottom, class_="grid"), el("text", _short(value), x=across(value), y=bottom + 13, class_="tick mid")]
    marks += [el("line", x1=across(value), x2=across(value), y1=top - 2, y2=bottom, class_=class_) for value, class_ in references]
    for n, row in enumerate(rows):
        y, class_ = top + step * (n + 0.5), "a" if row.strong else "quiet"
        name = el("text", el("title", clean(row.label, 200)), clean(row.label, 22), x=left - 8, y=y + 3.5, class_="tick end" + (" strong" if row.strong and told_apart else ""))
        marks.append(name)
        told = el("title", row.told or f"{row.label}: {number(row.value)}")
        if bars:
            marks.append(el("rect", told, x=across(0), y=y - step / 2 + 3.5, width=max(across(row.value) - across(0), 0.5), height=step - 7, class_=f"bar {class_}"))
            marks.append(el("text", _short(row.value), x=max(across(row.value), across(row.value if row.mark is None else row.mark)) + 5, y=y + 3.5, class_="tick"))
            if row.mark is not None:
                marks.append(el("line", x1=across(row.mark), x2=across(row.mark), y1=y - step / 2 + 1.5, y2=y + step / 2 - 1.5, class_="mark"))
            continue
        if row.low is not None and row.high is not None:
            marks.append(el("line", x1=across(row.low), x2=across(row.high), y1=y, y2=y, class_=f"line {class_}"))
        marks.append(el("circle", told, cx=across(row.value), cy=y, r=4, class_=f"dot {class_}"))
    marks.append(el("text", clean(label, 56), x=(left + width - right) / 2, y=height - 5, class_="label mid"))
    return svg(marks, width, height, title)


def histogram(groups: list[tuple[str, np.ndarray, str]], label: str, title: str, *, bins: int = 30, bounds: tuple[float, float] | None = None, log: bool = False) -> Html:
    """Shares of the values of each group in equal steps.

    groups  (name, values, class); the first lies behind
    bounds  of the axis; else from the 0.5th to the 99.5th percentile, with what lies beyond in the last bars
    log     whether the steps are equal in the logarithm
    """
    everything = np.concatenate([values for _, values, _ in groups])
    if log:
        everything = everything[everything > 0]
    low, high = bounds or (float(v) for v in np.percentile(everything, [0.5, 99.5]))
    if not low < high:
        low, high = (low / 2, low * 2) if log else (low - 0.5, low + 0.5)
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    counted = [np.histogram(np.clip(values, low, high), edges)[0] / max(len(values), 1) for _, values, _ in groups]
    plot = Plot(Axis(low, high, label, log), Axis(0, max(float(c.max()) for c in counted) * 1.08 or 1.0, "share of rows"), title)
    for (name, _, class_), shares in zip(groups, counted):
        told = [f"{name}: {100 * s:.3g} % from {number(a)} to {number(b)}" for s, a, b in zip(shares, edges[:-1], edges[1:])]
        plot.bars(edges, shares, class_ + " over" * (len(groups) > 1), told)
    return plot.svg()


def heatmap(shares: np.ndarray, counts: np.ndarray, names: list[str], title: str) -> Html:
    """A square for each pair: what is true down, what was said across.

    shares  (n, n) 0..1, of what is true; counts  (n, n) for the tooltips
    """
    n = len(names)
    wide = left = min(round(24 + _LETTER * max(min(len(name), 14) for name in names)), 108)
    wide -= 10
    cell = min((WIDTH - left - 8) / n, 80)
    left += (WIDTH - left - 8 - cell * n) / 2
    top, bottom = 8, round(20 + _LETTER * max(min(len(name), 10) for name in names) * (n > 4)) + 18
    height = round(top + cell * n + bottom)
    marks = []
    for i in range(n):
        y = top + cell * (i + 0.5)
        marks.append(el("text", el("title", clean(names[i], 200)), clean(names[i], 14), x=left - 7, y=round(y + 3.5, 1), class_="tick end"))
        turned = f"rotate(-60 {left + cell * (i + 0.5) + 4:.1f} {top + cell * n + 12:.1f})" if n > 4 else None
        marks.append(el("text", clean(names[i], 10), x=round(left + cell * (i + 0.5) + 4 * (n > 4), 1), y=round(top + cell * n + 12 + 2 * (n <= 4), 1), class_="tick " + ("end" if n > 4 else "mid"), transform=turned))
        for j in range(n):
            share, class_ = float(shares[i, j]), "right" if i == j else "wrong"
            told = el("title", f"true {clean(names[i], 60)}, said {clean(names[j], 60)}: {counts[i, j]} rows, {100 * share:.3g} %")
            at = {"x": round(left + cell * j + 0.5, 1), "y": round(top + cell * i + 0.5, 1)}
            marks.append(el("rect", told, **at, width=round(cell - 1, 1), height=round(cell - 1, 1), class_="cell empty"))
            if share > 0:
                marks.append(el("rect", told, **at, width=round(cell - 1, 1), height=round(cell - 1, 1), class_=f"cell {class_}", fill_opacity=round(0.08 + 0.92 * share, 3)))
            if cell >= 24 and counts[i, j]:
                dark = " over" if share > 0.55 else ""
                marks.append(el("text", f"{100 * share:.0f}%", x=round(left + cell * (j + 0.5), 1), y=round(y + 3.5, 1), class_=f"tick mid within{dark}"))
    marks.append(el("text", "said", x=left + cell * n / 2, y=height - 4, class_="label mid"))
    marks.append(el("text", "true", class_="label mid", transform=f"translate({left - wide:.0f} {top + cell * n / 2:.0f}) rotate(-90)"))
    return svg(marks, WIDTH, height, title)


def _short(value: float) -> str:
    size = abs(value)
    if size >= 1e5:
        for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if size >= unit:
                return f"{value / unit:.3g}{letter}".replace("-", "−")
    if size >= 1000:
        return f"{value:.0f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−") if size >= 1e-3 or not size else f"{value:.0e}".replace("e-0", "e-").replace("-", "−")
