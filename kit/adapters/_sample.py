"""Drawn pictures for samples of data: a shape in a colour on an uneven ground, turned, moved and noisy, so that there is something to learn."""

from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = ("circle", "cross", "square", "triangle")
COLOURS = {"red": (205, 60, 55), "green": (60, 160, 75), "blue": (60, 90, 200), "yellow": (225, 190, 50)}
THINGS = 48  # that draw_thing can tell apart


def draw(random: np.random.Generator, shape: str, colour: str, *, side: int = 40, size: float | None = None) -> np.ndarray:
    """(side, side, 3) uint8; size is the shape's, 0.5..1 of what the picture has room for."""
    reach = (random.uniform(0.6, 1.0) if size is None else size) * 0.42
    u, v, ground = _scene(random, side)
    return _noisy(random, _painted(random, ground, u, v, shape, colour, reach))


def draw_thing(random: np.random.Generator, thing: int, *, side: int = 40) -> np.ndarray:
    """(side, side, 3) uint8: one of THINGS things, each a shape in a colour with a smaller one of another colour on it."""
    outer, first, second = thing % 4, thing // 4 % 4, thing // 16 % 3
    reach = random.uniform(0.8, 1.0) * 0.42
    u, v, values = _scene(random, side)
    colours = list(COLOURS)
    values = _painted(random, values, u, v, SHAPES[outer], colours[first], reach)
    inner = SHAPES[(outer + 1 + second) % 4]
    return _noisy(random, _painted(random, values, u, v, inner, colours[(first + 1 + second) % 4], reach / 2.2))


def _scene(random: np.random.Generator, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(u, v, ground): the axes of what is drawn, turned and moved, in shares of the side, and (side, side, 3) what lies beneath it."""
    turn = random.uniform(-0.4, 0.4)  # radians
    centre = 0.5 + random.uniform(-0.06, 0.06, 2)
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side - centre[:, None, None]
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    return u, v, random.uniform(120, 235) + 25 * (x * random.normal() + y * random.normal())[..., None] + random.normal(0, 8, 3)


def _painted(random: np.random.Generator, values: np.ndarray, u: np.ndarray, v: np.ndarray, shape: str, colour: str, reach: float) -> np.ndarray:
    """reach  half the shape's width, in shares of the side"""
    edge = _outline(shape, u / reach, v / reach)  # below 1 inside
    cover = np.clip((1 - edge) * reach * len(values) + 0.5, 0, 1)[..., None]
    return values * (1 - cover) + (np.array(COLOURS[colour]) + random.normal(0, 18, 3)) * cover


def _noisy(random: np.random.Generator, values: np.ndarray) -> np.ndarray:
    return np.clip(values + random.normal(0, 9, values.shape), 0, 255).astype(np.uint8)


def _outline(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Below 1 inside the shape of half-width 1, growing outwards."""
    if shape == "circle":
        return np.hypot(u, v)
    if shape == "square":
        return np.maximum(abs(u), abs(v)) / 0.85
    if shape == "triangle":
        return np.maximum((v + 0.1) / 0.75, (abs(u) * np.sqrt(3) - v) / 1.0)
    assert shape == "cross", shape
    arms = np.minimum(abs(u), abs(v)) / 0.3, np.maximum(abs(u), abs(v))
    return np.maximum(*arms)


def colour_of(random: np.random.Generator, shape: str) -> str:
    """Most often the shape's own, so that thumbnails and frozen features learn something too."""
    colours = list(COLOURS)
    return colours[SHAPES.index(shape)] if random.random() < 0.75 else str(random.choice(colours))


def save(path: Path, picture: np.ndarray, *, truncated: bool = False) -> None:
    """As the ending says.

    truncated  half of the file, as a broken download leaves it
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **({"quality": 90} if path.suffix.lower() in (".jpg", ".jpeg") else {}))
    if truncated:
        held = path.read_bytes()
        path.write_bytes(held[: len(held) // 2])
