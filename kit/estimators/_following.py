"""Tracks grown through the layers of a detector, compiled: pairs of hits and a third begin one, and the likeliest hit of a next layer goes on.

What a hit brings to a track is the logarithm of how much likelier it is there as the track's own hit than as one of the layer's others, by
Student's t with 4 degrees of freedom in two dimensions: residuals have long tails, since particles scatter.
"""

import heapq
import math

import numpy as np
from numba import njit

from kit.estimators._helices import BARREL, meets, scattering, slope_of, through, wrapped

MOST = 24  # hits of a track
PHI_BINS, ALONG_BINS = 256, 16  # of a layer
_KEPT = 3  # third hits of a pair that are followed
_BESIDE = 3  # further hits of a layer that a track may have beside the first
_DIMENSIONS_TAIL = 3.0  # (4 + 2) / 2: the exponent of Student's t with 4 degrees of freedom in two dimensions


def binned(xyz: np.ndarray, layer: np.ndarray, layers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hits in the order of bins, where each bin begins, hits a mm² of each layer); hits of no layer are in none."""
    known = np.flatnonzero(layer >= 0)
    own, at = layers[layer[known]], xyz[known]
    along = np.where(own[:, 0] == BARREL, at[:, 2], np.hypot(at[:, 0], at[:, 1]))
    phi = np.arctan2(at[:, 1], at[:, 0])
    phi_bin = np.clip(((phi + math.pi) / (2 * math.pi) * PHI_BINS).astype(np.int64), 0, PHI_BINS - 1)
    along_bin = np.clip(((along - own[:, 4]) / np.maximum(own[:, 5] - own[:, 4], 1e-9) * ALONG_BINS), 0, ALONG_BINS - 1).astype(np.int64)
    bins = (layer[known] * PHI_BINS + phi_bin) * ALONG_BINS + along_bin
    starts = np.zeros(len(layers) * PHI_BINS * ALONG_BINS + 1, np.int64)
    np.cumsum(np.bincount(bins, minlength=len(starts) - 1), out=starts[1:])
    low, high = layers[:, 4], layers[:, 5]
    areas = np.where(layers[:, 0] == BARREL, 2 * math.pi * layers[:, 1] * (high - low), math.pi * (high**2 - low**2))
    density = np.maximum(np.bincount(layer[known], minlength=len(layers)), 1) / np.maximum(np.abs(areas), 1.0)
    return known[np.argsort(bins, kind="stable")], starts, density


@njit(cache=True, nogil=True)
def _along_bin(layers, into, value):
    return min(max(int((value - layers[into, 4]) / max(layers[into, 5] - layers[into, 4], 1e-9) * ALONG_BINS), 0), ALONG_BINS - 1)


@njit(cache=True, nogil=True)
def _look(xyz, order, starts, density, layers, into, ox, oy, radius, turn, c, slope, widths, window, ahead, used, best, gains):
    """Fills `best` and `gains` with the likeliest hits of a layer, best first, and gives how many there are."""
    n = 0
    kind = int(layers[into, 0])
    cx, cy, cz = xyz[c, 0], xyz[c, 1], xyz[c, 2]
    met1, phi1, along1 = meets(ox, oy, radius, turn, cx, cy, cz, slope, kind, layers[into, 2], ahead)
    met2, phi2, along2 = meets(ox, oy, radius, turn, cx, cy, cz, slope, kind, layers[into, 3], ahead)
    if not met1 and not met2:
        return 0
    if not met1:
        phi1, along1 = phi2, along2
    elif not met2:
        phi2, along2 = phi1, along1
    off_across, off_along = scattering(kind, radius, slope)
    across = math.sqrt(widths[0] ** 2 + (widths[1] * off_across) ** 2)
    along = math.sqrt(widths[2] ** 2 + (widths[3] * off_along) ** 2)
    low, high = min(along1, along2) - window * along, max(along1, along2) + window * along
    if high < layers[into, 4] or low > layers[into, 5]:
        return 0
    r = layers[into, 1] if kind == BARREL else max(min(along1, along2), 1.0)
    half = abs(wrapped(phi2 - phi1)) / 2 + window * across / r
    middle = phi1 + wrapped(phi2 - phi1) / 2
    first, last = int(math.floor((middle - half + math.pi) / (2 * math.pi) * PHI_BINS)), int(math.floor((middle + half + math.pi) / (2 * math.pi) * PHI_BINS))
    last = min(last, first + PHI_BINS - 1)
    low_bin, high_bin = _along_bin(layers, into, low), _along_bin(layers, into, high)
    base = -math.log(2 * math.pi * across * along * density[into])
    for p in range(first, last + 1):
        row = (into * PHI_BINS + p % PHI_BINS) * ALONG_BINS
        for k in range(starts[row + low_bin], starts[row + high_bin + 1]):
            h = order[k]
            if used[h] or h == c:
                continue
            x, y, z = xyz[h, 0], xyz[h, 1], xyz[h, 2]
            r = math.sqrt(x * x + y * y)
            met, phi, at = meets(ox, oy, radius, turn, cx, cy, cz, slope, kind, r if kind == BARREL else z, ahead)
            if not met:
                continue
            u = r * wrapped(math.atan2(y, x) - phi) / across
            v = ((z if kind == BARREL else r) - at) / along
            far = u * u + v * v
            if far > window * window:
                continue
            gain = base - _DIMENSIONS_TAIL * math.log(1 + far / 4)
            if n < len(best):
                n += 1
            elif gain <= gains[n - 1]:
                continue
            place = n - 1
            while place > 0 and gains[place - 1] < gain:
                best[place], gains[place] = best[place - 1], gains[place - 1]
                place -= 1
            best[place], gains[place] = h, gain
    return n


@njit(cache=True, nogil=True)
def _pairs(xyz, order, starts, layers, a, into, limits, used, pairs, n):
    """Appends the hits of a layer that a particle from near the beam through a may have next."""
    ax, ay, az = xyz[a, 0], xyz[a, 1], xyz[a, 2]
    ra = math.sqrt(ax * ax + ay * ay)
    phi_a = math.atan2(ay, ax)
    curved = limits[0]
    kind = int(layers[into, 0])
    low, high = layers[into, 4], layers[into, 5]
    if kind == BARREL:
        place = layers[into, 1]
        if place <= ra:
            return n, pairs
        for origin in (limits[1], limits[2]):
            at = origin + (az - origin) * place / ra
            low, high = (at, at) if origin == limits[1] else (min(low, at), max(high, at))
        slack = 0.02 * abs(high - low) + abs(az - limits[1]) / ra * (layers[into, 3] - layers[into, 2])
        low, high, far = low - slack, high + slack, layers[into, 3]
    else:
        far = layers[into, 5]
    half = math.asin(min(1.0, far * curved / 2)) - math.asin(min(1.0, ra * curved / 2)) + 1e-3
    first, last = int(math.floor((phi_a - half + math.pi) / (2 * math.pi) * PHI_BINS)), int(math.floor((phi_a + half + math.pi) / (2 * math.pi) * PHI_BINS))
    last = min(last, first + PHI_BINS - 1)
    low_bin, high_bin = _along_bin(layers, into, low), _along_bin(layers, into, high)
    for p in range(first, last + 1):
        row = (into * PHI_BINS + p % PHI_BINS) * ALONG_BINS
        for k in range(starts[row + low_bin], starts[row + high_bin + 1]):
            b = order[k]
            x, y, z = xyz[b, 0], xyz[b, 1], xyz[b, 2]
            rb = math.sqrt(x * x + y * y)
            if used[b] or rb <= ra + 0.5:
                continue
            origin = az - ra * (z - az) / (rb - ra)
            if origin < limits[1] or origin > limits[2]:
                continue
            chord = math.sqrt((x - ax) ** 2 + (y - ay) ** 2)
            if 2 * abs(ax * y - ay * x) > curved * ra * rb * chord:  # 1/radius of the circle through the beam, a and b
                continue
            if n == len(pairs):
                longer = np.empty((2 * n, 2), np.int64)
                longer[:n] = pairs
                pairs = longer
            pairs[n, 0], pairs[n, 1] = a, b
            n += 1
    return n, pairs


@njit(cache=True, nogil=True)
def begun(xyz, layer, order, starts, layers, begins, limits, used):
    """(n, 2) pairs of hits in which a particle from near the beam may begin.

    begins  (s, 2) their layers
    limits  (s, 3) of each pair of layers the greatest 1/radius in 1/mm, and the lowest and highest z in mm that it may come from
    """
    pairs, n = np.empty((1024, 2), np.int64), 0
    for s in range(len(begins)):
        row = begins[s, 0] * PHI_BINS * ALONG_BINS
        for k in range(starts[row], starts[row + PHI_BINS * ALONG_BINS]):
            if not used[order[k]]:
                n, pairs = _pairs(xyz, order, starts, layers, order[k], begins[s, 1], limits[s], used, pairs, n)
    return pairs[:n]


@njit(cache=True, nogil=True)
def _grown(track, gain, n, xyz, layer, order, starts, density, layers, nexts, logs, widths, window, used, best, gains):
    """The track's length once the likeliest hits of the next layers are in it."""
    while n < MOST:
        a, b, c = track[n - 3], track[n - 2], track[n - 1]
        ox, oy, radius, turn = through(xyz[a, 0], xyz[a, 1], xyz[b, 0], xyz[b, 1], xyz[c, 0], xyz[c, 1])
        slope = slope_of(ox, oy, turn, xyz[a, 0], xyz[a, 1], xyz[a, 2], xyz[c, 0], xyz[c, 1], xyz[c, 2])
        chosen, most = -1, 0.0
        for k in range(nexts.shape[1]):
            into = nexts[layer[c], k]
            if into < 0:
                break
            width = widths[layer[b], layer[c], into]
            if width[0] == 0:
                continue
            found = _look(xyz, order, starts, density, layers, into, ox, oy, radius, turn, c, slope, width, window, True, used, best[:1], gains[:1])
            if found and gains[0] + logs[layer[c], k] > most:
                chosen, most = best[0], gains[0] + logs[layer[c], k]
        if chosen < 0:
            break
        track[n], gain[n] = chosen, most
        n += 1
    return n


@njit(cache=True, nogil=True)
def followed(xyz, layer, order, starts, density, layers, nexts, logs, firsts, widths, pairs, window, used):
    """(tracks (n, MOST) of hits, gains (n, MOST), lengths (n,)): each pair with the third hits that fit it, followed outwards."""
    size, n = 1024, 0
    tracks, gained, lengths = np.empty((size, MOST), np.int32), np.empty((size, MOST), np.float32), np.empty(size, np.int64)
    thirds, third_gains = np.empty(_KEPT, np.int64), np.empty(_KEPT)
    best, gains = np.empty(1, np.int64), np.empty(1)
    track, gain = np.zeros(MOST, np.int64), np.zeros(MOST)
    for p in range(len(pairs)):
        a, b = pairs[p]
        ox, oy, radius, turn = through(0.0, 0.0, xyz[a, 0], xyz[a, 1], xyz[b, 0], xyz[b, 1])
        slope = slope_of(ox, oy, turn, xyz[a, 0], xyz[a, 1], xyz[a, 2], xyz[b, 0], xyz[b, 1], xyz[b, 2])
        for k in range(nexts.shape[1]):
            into = nexts[layer[b], k]
            if into < 0:
                break
            width = firsts[layer[a], layer[b], into]
            if width[0] == 0:
                continue
            found = _look(xyz, order, starts, density, layers, into, ox, oy, radius, turn, b, slope, width, window, True, used, thirds, third_gains)
            for t in range(found):
                if third_gains[t] + logs[layer[b], k] <= 0:
                    break
                track[0], track[1], track[2] = a, b, thirds[t]
                gain[0], gain[1], gain[2] = 0.0, 0.0, third_gains[t] + logs[layer[b], k]
                length = _grown(track, gain, 3, xyz, layer, order, starts, density, layers, nexts, logs, widths, window, used, best, gains)
                if n == size:
                    size *= 2
                    longer, more, counts = np.empty((size, MOST), np.int32), np.empty((size, MOST), np.float32), np.empty(size, np.int64)
                    longer[:n], more[:n], counts[:n] = tracks, gained, lengths
                    tracks, gained, lengths = longer, more, counts
                tracks[n], gained[n], lengths[n] = track, gain, length
                n += 1
    return tracks[:n], gained[:n], lengths[:n]


@njit(cache=True, nogil=True)
def chosen(tracks, gained, lengths, xyz, layer, module, order, starts, density, layers, beside, window, least, used, group, count):
    """How many groups there are once the best tracks have been given their hits, greedily; `used` and `group` are filled in.

    A track that has lost hits to better ones goes on with those that are left, if they are `least`, at what these bring. A layer's second hit, in
    the overlap of two modules, joins the track as it is chosen.
    """
    heap = [(0.0, 0)]
    heap.pop()
    for n in range(len(tracks)):
        if lengths[n] >= least:
            heap.append((-float(gained[n, : lengths[n]].sum()), n))
    heapq.heapify(heap)
    best, gains = np.empty(_BESIDE, np.int64), np.empty(_BESIDE)
    while len(heap):
        _, n = heapq.heappop(heap)
        kept, total = 0, 0.0
        for k in range(lengths[n]):
            h = tracks[n, k]
            if not used[h]:
                tracks[n, kept], gained[n, kept] = h, gained[n, k]
                total += gained[n, k]
                kept += 1
        if kept < lengths[n]:
            lengths[n] = kept
            if kept >= least:
                heapq.heappush(heap, (-total, n))
            continue
        for k in range(kept):
            used[tracks[n, k]], group[tracks[n, k]] = True, count
        if kept >= 3:
            for k in range(kept):
                c = tracks[n, k]
                into = layer[c]
                if beside[into, 0] == 0:
                    continue
                a, b = (tracks[n, k - 1], tracks[n, k + 1]) if 0 < k < kept - 1 else (tracks[n, 1], tracks[n, 2]) if k == 0 else (tracks[n, k - 2], tracks[n, k - 1])
                ox, oy, radius, turn = through(xyz[a, 0], xyz[a, 1], xyz[b, 0], xyz[b, 1], xyz[c, 0], xyz[c, 1])
                slope = slope_of(ox, oy, turn, xyz[a, 0], xyz[a, 1], xyz[a, 2], xyz[c, 0], xyz[c, 1], xyz[c, 2])
                found = _look(xyz, order, starts, density, layers, into, ox, oy, radius, turn, c, slope, beside[into], window, False, used, best, gains)
                for extra in range(found):
                    if gains[extra] > 0 and module[best[extra]] != module[c]:
                        used[best[extra]], group[best[extra]] = True, count
        count += 1
    return count
