"""Helices in a magnetic field along z: the circle through three hits, straight in z over the angle that it turns, and where it meets a layer.

A layer is a barrel (its radius is given) or a disk (its z is given). A hit's residual has two parts in millimetres: across, along phi, and
along, in z on a barrel and in radius on a disk. All functions are compiled, and hold no lock while they run.
"""

import math

import numpy as np
from numba import njit

BARREL, DISK = 0, 1
_STRAIGHT = 1e-9  # mm²: twice the area of three points that a line could hold


@njit(cache=True, nogil=True)
def through(ax, ay, bx, by, cx, cy):
    """(centre x, centre y, radius, turn): the circle through a, b and c in mm; turn is 1 where it goes from b to c counterclockwise, else -1."""
    px, py, qx, qy = ax - cx, ay - cy, bx - cx, by - cy
    area = px * qy - py * qx
    if abs(area) < _STRAIGHT:
        area = _STRAIGHT if area >= 0 else -_STRAIGHT
    p2, q2 = px * px + py * py, qx * qx + qy * qy
    ux, uy = (qy * p2 - py * q2) / (2 * area), (px * q2 - qx * p2) / (2 * area)
    turn = 1.0 if (qx - ux) * -uy - (qy - uy) * -ux >= 0 else -1.0
    return cx + ux, cy + uy, math.sqrt(ux * ux + uy * uy), turn


@njit(cache=True, nogil=True)
def turned(ox, oy, turn, cx, cy, x, y):
    """Radians from c to (x, y) in the direction of flight, -pi to pi."""
    ux, uy, vx, vy = cx - ox, cy - oy, x - ox, y - oy
    return turn * math.atan2(ux * vy - uy * vx, ux * vx + uy * vy)


@njit(cache=True, nogil=True)
def meets(ox, oy, radius, turn, cx, cy, cz, slope, kind, place, ahead):
    """(found, phi, along): where the helix meets a layer.

    cx, cy, cz  the hit that it is followed from
    slope       mm of z a radian
    kind, place BARREL and its radius, or DISK and its z, mm
    ahead       only in the direction of flight; else the nearer of both ways
    """
    if kind == DISK:
        if abs(slope) < 1e-9:
            return False, 0.0, 0.0
        angle = (place - cz) / slope
        if (ahead and angle <= 0) or abs(angle) > math.pi:
            return False, 0.0, 0.0
        sine, cosine = math.sin(turn * angle), math.cos(turn * angle)
        ux, uy = cx - ox, cy - oy
        x, y = ox + ux * cosine - uy * sine, oy + ux * sine + uy * cosine
        return True, math.atan2(y, x), math.sqrt(x * x + y * y)
    far = math.sqrt(ox * ox + oy * oy)
    if far < 1e-9:
        return False, 0.0, 0.0
    foot = (place * place + (far - radius) * (far + radius)) / (2 * far)
    high = place * place - foot * foot
    if high < 0:
        return False, 0.0, 0.0
    high = math.sqrt(high)
    ux, uy = ox / far, oy / far
    found, best, phi, along = False, 0.0, 0.0, 0.0
    for side in (-1.0, 1.0):
        x, y = foot * ux - side * high * uy, foot * uy + side * high * ux
        angle = turned(ox, oy, turn, cx, cy, x, y)
        if ahead and angle <= 0:
            continue
        if not found or abs(angle) < best:
            found, best, phi, along = True, abs(angle), math.atan2(y, x), cz + slope * angle
    return found, phi, along


@njit(cache=True, nogil=True)
def wrapped(phi):
    """The same angle in -pi to pi."""
    return phi - 2 * math.pi * math.floor((phi + math.pi) / (2 * math.pi))


@njit(cache=True, nogil=True)
def slope_of(ox, oy, turn, px, py, pz, cx, cy, cz):
    """mm of z a radian from p to c."""
    angle = turned(ox, oy, turn, cx, cy, px, py)
    return (pz - cz) / angle if abs(angle) > 1e-12 else 0.0


@njit(cache=True, nogil=True)
def scattering(kind, radius, slope):
    """(across, along): how much scattering throws a particle off at the next layer, but for a factor of the layers'.

    A particle of momentum p is turned by an angle in proportion to the root of the matter on its way, and to 1/p: 1/p goes as sin(theta) over the
    radius. It misses a barrel by the way to it times that angle, over sin(theta) once more along z; a disk likewise with cos(theta).
    """
    cot = slope / radius
    rising = math.sqrt(1 + cot * cot)
    if kind == BARREL:
        return math.sqrt(rising) / radius, rising * rising / radius
    cot = max(abs(cot), 0.1)
    return 1 / (cot * radius), rising / (cot * cot * radius)


@njit(cache=True, nogil=True)
def residuals(xyz, quads, kinds, seeded, ahead):
    """(n, 6) float64: across and along in mm, `scattering` across and along, 1 / radius in 1/mm, and 1 where the helix meets the fourth hit's layer.

    xyz     (hits, 3) mm
    quads   (n, 4) positions of three hits that the helix is laid through, and of the one that is looked for
    kinds   (n,) of the layer of the fourth
    seeded  the beam's axis stands in the place of the first hit
    ahead   as in `meets`
    """
    found = np.zeros((len(quads), 6))
    for n in range(len(quads)):
        a, b, c, d = quads[n]
        cx, cy, cz = xyz[c]
        ax, ay = (0.0, 0.0) if seeded else (xyz[a, 0], xyz[a, 1])
        ox, oy, radius, turn = through(ax, ay, xyz[b, 0], xyz[b, 1], cx, cy)
        first = b if seeded else a
        slope = slope_of(ox, oy, turn, xyz[first, 0], xyz[first, 1], xyz[first, 2], cx, cy, cz)
        x, y, z = xyz[d]
        r = math.sqrt(x * x + y * y)
        there, phi, along = meets(ox, oy, radius, turn, cx, cy, cz, slope, kinds[n], r if kinds[n] == BARREL else z, ahead)
        if there:
            found[n, 0] = r * wrapped(math.atan2(y, x) - phi)
            found[n, 1] = (z if kinds[n] == BARREL else r) - along
            found[n, 2], found[n, 3] = scattering(kinds[n], radius, slope)
            found[n, 4], found[n, 5] = 1 / radius, 1.0
    return found
