"""Probabilities bent until they hold: of the rows that are given 0.7, seven in ten should be positive.

What is fitted is plain numbers, which a run keeps and replays. One of three: a temperature, Platt's line on the log-odds, or a rising function.
"""

from typing import Any, Literal

import numpy as np
from scipy.optimize import isotonic_regression, minimize, minimize_scalar
from scipy.special import expit, logit, logsumexp, softmax

Method = Literal["", "temperature", "platt", "isotonic"]
_LEAST = 1e-7  # of a probability that has a logit
_DRAWN = 1e-3  # penalty that keeps slopes near 1 and shifts near 0 where rows are few or all right


def fit(method: Method, p: np.ndarray, true: np.ndarray, weight: np.ndarray | None = None) -> dict[str, Any]:
    """Numbers, as JSON, with which `calibrated` bends probabilities; fitted by the log loss of these rows, or by least squares if isotonic.

    p       (n,) of the positive class, or (n, classes) that sum to 1
    true    (n,) 0 and 1, or class positions

    temperature  log-odds over one number (Guo et al. 2017, "On calibration of modern neural networks", equation 9)
    platt        a slope and a shift for the log-odds (Platt 1999, equation 1; a penalty does what its smoothed targets do); of several classes a
                 slope and a shift each, then softmax (Guo et al. 2017, section 4.2, vector scaling)
    isotonic     a rising function (Zadrozny and Elkan 2002, section 3.2), of several classes one each, divided by their sum
    """
    weight = np.ones(len(p)) if weight is None else weight
    if method == "isotonic":
        columns = [(p, true)] if p.ndim == 1 else [(p[:, c], true == c) for c in range(p.shape[1])]
        return {"method": method, "steps": [_steps(*column, weight) for column in columns]}
    logs, share = _logs(p), weight / weight.sum()
    happened = true if p.ndim == 1 else np.eye(p.shape[1])[true]

    def loss(slope: np.ndarray, shift: np.ndarray) -> tuple[float, np.ndarray]:
        """(log loss, its slope by the log-odds)."""
        total = logs * slope + shift
        if p.ndim == 1:
            return float((np.logaddexp(0.0, total) - true * total) @ share), (expit(total) - true) * share
        whole = logsumexp(total, axis=1, keepdims=True)
        return float((happened * (whole - total)).sum(axis=1) @ share), (np.exp(total - whole) - happened) * share[:, None]

    if method == "temperature":
        found = minimize_scalar(lambda log: loss(np.exp(-log), np.zeros(1))[0] + _DRAWN * log**2, bounds=(-3.0, 3.0), method="bounded")
        return {"method": method, "temperature": float(np.exp(found.x))}
    many = 1 if p.ndim == 1 else p.shape[1]

    def drawn(found: np.ndarray) -> tuple[float, np.ndarray]:
        away = found - np.repeat([1.0, 0.0], many)
        value, errors = loss(found[:many], found[many:])
        by_column = np.r_[np.atleast_1d((errors * logs).sum(axis=0)), np.atleast_1d(errors.sum(axis=0))]
        return value + _DRAWN * float(away @ away) / many, by_column + 2 * _DRAWN * away / many

    bounds = [(0.0, None)] * many + [(None, None)] * many
    found = minimize(drawn, np.repeat([1.0, 0.0], many), jac=True, method="L-BFGS-B", bounds=bounds).x
    return {"method": method, "slope": found[:many].tolist(), "shift": found[many:].tolist()}


def calibrated(found: dict[str, Any], p: np.ndarray) -> np.ndarray:
    """The probabilities, bent as `fit` found; those of several classes sum to 1."""
    if found["method"] == "isotonic":
        columns = p[:, None] if p.ndim == 1 else p
        bent = np.column_stack([np.interp(column, steps["from"], steps["to"]) for column, steps in zip(columns.T, found["steps"])])
        return bent[:, 0] if p.ndim == 1 else bent / bent.sum(axis=1, keepdims=True)
    logs = _logs(p)
    total = logs / found["temperature"] if found["method"] == "temperature" else logs * np.array(found["slope"]) + np.array(found["shift"])
    return expit(total) if p.ndim == 1 else softmax(total, axis=1)


def evening(p: np.ndarray, shares: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(classes,) factors of each class's probability under which all rows together, each summing to 1 again, give the classes their shares.

    p       (n, classes)
    shares  (classes,) that sum to 1; a class of share 0 has factor 0
    weight  (n,)

    The factors are where a convex function is least, whose slope is how far the rows' mean lies from the shares (as when a contingency table is raked to known margins:
    Deming and Stephan 1940).
    """
    there, weight = shares > 0, weight / weight.sum()
    logs, asked = _logs(p[:, there]), shares[there] / shares.sum()

    def lacking(shift: np.ndarray) -> tuple[float, np.ndarray]:
        total = logs + shift
        whole = logsumexp(total, axis=1, keepdims=True)
        return float(whole[:, 0] @ weight - shift @ asked), weight @ np.exp(total - whole) - asked

    found = minimize(lacking, np.zeros(len(asked)), jac=True, method="L-BFGS-B", options={"maxiter": 1_000, "ftol": 1e-15, "gtol": 1e-9}).x
    factors = np.zeros(len(shares))
    factors[there] = np.exp(found - found.mean())
    return factors


def _logs(p: np.ndarray) -> np.ndarray:
    inside = np.clip(p, _LEAST, 1 - _LEAST)
    return logit(inside) if p.ndim == 1 else np.log(inside)


def _steps(p: np.ndarray, true: np.ndarray, weight: np.ndarray) -> dict[str, list[float]]:
    """Corners of the rising function; never quite 0 or 1, since rows that all say so do not show that a next one cannot be otherwise."""
    steps, place = np.unique(p, return_inverse=True)
    weights = np.bincount(place, weights=weight)
    counted = weights > 0
    steps, weights = steps[counted], weights[counted]
    shares = np.bincount(place, weights=weight * true)[counted] / weights
    edge = 1 / (len(p) + 2)
    rising = np.clip(isotonic_regression(shares, weights=weights).x, edge, 1 - edge)
    flat = np.r_[False, np.diff(rising) == 0]
    corner = ~(flat & np.r_[flat[1:], False])  # within a flat piece only its ends say anything
    return {"from": steps[corner].tolist(), "to": rising[corner].tolist()}
