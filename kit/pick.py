"""The two submissions to select for the final, from what runs have: a score out of fold, perhaps one on the leaderboard, and errors that go together.

The leaderboard is a sample like any other, and often a small one: it counts by its rows. The second of the two is not the second best, but the one
that is likeliest to be ahead where the first is not: what counts in the end is the better of them.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2, norm

from kit.candidates import Candidates
from kit.comparing import corrected_t_test, ratio_of
from kit.diff import diff
from kit.errors import RunError

ASSUMED_SHARE = 0.3  # of the test rows that the public leaderboard shows, where nobody says it


@dataclass(frozen=True)
class Posterior:
    """What is to be expected of each of n runs, greater being better.

    score       (n,) on the scale of the scores out of fold
    covariance  (n, n) of their errors, the chance in the rows of the private part included
    own         (n,) 0..1, weight of the score out of fold; the leaderboard has the rest
    offset      leaderboard less out of fold, mean of the runs that have both; None where none has
    excess      standard deviation of what leaderboard and out of fold differ by beyond chance
    """

    score: np.ndarray
    covariance: np.ndarray
    own: np.ndarray
    offset: float | None
    excess: float


def posterior(own: np.ndarray, shown: np.ndarray, covariance: np.ndarray, *, public: float, private: float) -> Posterior:
    """
    own         (n,) scores out of fold, greater being better
    shown       (n,) scores on the leaderboard on the same scale, nan where a run has none
    covariance  (n, n) of the errors of `own`, by rows drawn again
    public      rows out of fold to rows of the public leaderboard: its errors have `public` times the covariance
    private     likewise of the private part

    A run's two scores are averaged by the inverse of their variances (Cochran 1954, "The combination of estimates from different experiments"), after the
    offset: own weight = p v / (v + k + p v), where v is the run's variance beside the other runs, p is `public`, and k is what the two scores differ by
    beyond chance, by moments (DerSimonian and Laird 1986, "Meta-analysis in clinical trials"), from three runs on and where it is beyond chance at all. Only differences between runs count,
    so that v leaves out what all runs have in common; the offset is the mean of shown - own over the runs that have both.
    """
    n, both = len(own), np.isfinite(shown)
    centred = np.eye(n) - 1 / n
    variance = np.diag(centred @ covariance @ centred)
    if not both.any():
        return Posterior(own, covariance * (1 + private), np.ones(n), None, 0.0)
    gaps = (shown - own)[both]
    offset, beyond = float(gaps.mean()), 0.0
    if len(gaps) > 2:
        beyond = _beyond(gaps, covariance[np.ix_(both, both)] * (1 + public))
    floor = np.finfo(float).tiny  # one run, or equal ones: their scores differ by nothing, and rows decide
    weight = np.where(both, (public * variance + floor) / ((1 + public) * variance + beyond + 2 * floor), 1.0)
    score = np.where(both, weight * own + (1 - weight) * (np.where(both, shown, 0.0) - offset), own)
    errors = covariance * (np.outer(weight, weight) + public * np.outer(1 - weight, 1 - weight) + private)
    return Posterior(score, errors + np.diag(weight**2 * beyond), weight, offset, math.sqrt(beyond))


def _beyond(gaps: np.ndarray, covariance: np.ndarray) -> float:
    """Variance of the gaps beyond what their errors explain; 0 unless 95 of 100 such sets of errors vary less.

    The sum of squares about the mean is compared with a chi-squared distribution of the same mean and variance (Satterthwaite 1946, "An approximate distribution
    of estimates of variance components", for errors that go together).
    """
    centred = np.eye(len(gaps)) - 1 / len(gaps)
    errors = centred @ covariance @ centred
    total, expected = float(((gaps - gaps.mean()) ** 2).sum()), float(np.trace(errors))
    if expected <= 0:
        return 0.0
    freedom = expected**2 / float((errors**2).sum())
    return (total - expected) / (len(gaps) - 1) if total > expected * chi2.ppf(0.95, freedom) / freedom else 0.0


def better_of_two(first: int, told: Posterior) -> np.ndarray:
    """(n,) expected maximum of a run's score and of each other's (Clark 1961, "The greatest of a finite set of random variables", equations 2 and 4).

    E max = m1 F(a) + m2 F(-a) + s f(a), where s is the standard deviation of the difference, a = (m1 - m2) / s, F and f are the normal distribution and density.
    """
    c = told.covariance
    spread = np.sqrt(np.maximum(c[first, first] + np.diag(c) - 2 * c[first], 0.0))
    gap = told.score[first] - told.score
    a = np.divide(gap, spread, out=np.where(gap >= 0, np.inf, -np.inf), where=spread > 1e-12 * np.sqrt(np.abs(np.diag(c)) + 1e-300))
    return told.score[first] * norm.cdf(a) + told.score * norm.cdf(-a) + spread * norm.pdf(a)


def pair(told: Posterior, apart: np.ndarray | None = None) -> tuple[int, int]:
    """The run of the best expected score, and the one with which the better of the two is expected to be best; the first of equal ones.

    apart  (n, n) bool: whether two runs are two submissions, and not one file twice; all where it is not told
    """
    first = int(np.argmax(told.score))
    chances = better_of_two(first, told)
    able = np.arange(len(chances)) != first
    if apart is not None and (able & apart[first]).any():
        able &= apart[first]
    ranked = np.where(able, chances, -np.inf)
    best = np.flatnonzero(ranked >= ranked.max() - 1e-12 * max(1.0, abs(ranked.max())))  # among equals the better one alone
    return first, int(best[np.argmax(told.score[best])])


def pick(found: Candidates, *, share: float | None) -> tuple[list[str], list[str]]:
    """(why, the picks): lines with numbers, and "1 RUN …" and "2 RUN …".

    share  of the test rows that the public leaderboard shows, 0..1; None is unknown
    Raises RunError where there is nothing to choose by.
    """
    names = found.names
    if share is not None and not 0 < share < 1:
        raise RunError(f"--public-share {share:g}: expected the share of the test rows that the public leaderboard shows, above 0 and below 1, such as 0.3")
    if len(names) == 1:
        return [*found.notes, f"only {names[0]} can be selected: with one more run, a second chance costs nothing"], [f"1 {names[0]}"]
    if found.own is None:
        return _by_leaderboard(found)
    used = ASSUMED_SHARE if share is None else share
    public, private = (found.rows / max(1.0, part * found.tested) for part in (used, 1 - used))
    sign = 1 if found.greater_is_better else -1
    told = posterior(sign * found.own, sign * found.shown, found.covariance, public=public, private=private)
    first, second = pair(told, found.apart)
    chances = better_of_two(first, told)
    why = [*found.notes, _noise(found, used, share is None, public, told, sign)]
    lines = [_line(found, told, sign, n) for n in (first, second)]
    next_best = int(np.argmax(np.where(np.arange(len(names)) == first, -np.inf, told.score)))
    spread = math.sqrt(max(told.covariance[first, first] + told.covariance[second, second] - 2 * told.covariance[first, second], 0.0))
    ahead = float(norm.cdf((told.score[second] - told.score[first]) / spread)) if spread > 0 else 0.0
    why.append(f"first   {names[first]}: the best expected {found.metric}, {sign * told.score[first]:.6g}; {_noise_of_lead(found, first, next_best)}")
    beside = "" if next_best == second else f", {sign * chances[next_best]:.6g} with {names[next_best]}, the second best"
    why.append(f"second  {names[second]}: the better of the two is expected to reach {sign * chances[second]:.6g}{beside}; it ends ahead of the first in {ahead:.0%} of such tests")
    why.append(f"apart   {_apart(found, first, second)}")
    return why, [f"1 {lines[0]}", f"2 {lines[1]}"]


def _by_leaderboard(found: Candidates) -> tuple[list[str], list[str]]:
    """Of runs without labels: what they have on the leaderboard, and nothing to weigh it with."""
    if np.isfinite(found.shown).sum() < 2:
        raise RunError("no run has an out-of-fold score, and fewer than two have one on the leaderboard: there is nothing to choose by\nsubmit them, or train where there are labels")
    order = np.argsort(np.where(np.isfinite(found.shown), found.shown * (-1 if found.greater_is_better else 1), np.inf), kind="stable")
    kept = [n for n in order.tolist() if np.isfinite(found.shown[n])]
    first = kept[0]
    second = next((n for n in kept[1:] if found.apart[first, n]), kept[1])
    why = [*found.notes, "noise   no run has an out-of-fold score: the leaderboard alone decides, and how much of it is chance is not known", f"apart   {_apart(found, first, second)}"]
    return why, [f"{place} {found.names[n]}  leaderboard {found.shown[n]:.6g}" for place, n in ((1, first), (2, second))]


def _noise(found: Candidates, share: float, assumed: bool, public: float, told: Posterior, sign: int) -> str:
    error = math.sqrt(float(np.median(np.diag(found.covariance))))
    own = f"noise   {found.metric} out of fold ± {error:.2g}, of {found.rows} rows"
    if told.offset is None:
        return f"{own}; no run has a leaderboard score: out of fold alone decides"
    whence = "assumed: --public-share says it" if assumed else "as told"
    rows = f"about {share * found.tested:.0f} rows ({share:.0%} of {found.tested}, {whence})"
    both = int(np.isfinite(found.shown).sum())
    beyond = f", and ± {told.excess:.2g} beyond chance" if told.excess > 0 else ""
    weight = float(np.mean(told.own[np.isfinite(found.shown)]))
    return f"{own}; leaderboard ± {error * math.sqrt(public):.2g}, of {rows}: it lies {sign * told.offset:+.3g} beside out of fold over {both} runs{beyond}, and weighs {1 - weight:.0%}"


def _line(found: Candidates, told: Posterior, sign: int, n: int) -> str:
    shown = f", leaderboard {found.shown[n]:.6g}" if math.isfinite(found.shown[n]) else ", not on the leaderboard"
    return f"{found.names[n]}  {found.metric} {sign * told.score[n]:.6g} expected: out of fold {found.own[n]:.6g} ± {math.sqrt(found.covariance[n, n]):.2g}{shown}"


def _noise_of_lead(found: Candidates, first: int, other: int) -> str:
    """How sure it is, out of fold, that the first is ahead of the next."""
    one, its = (found.folds[n] for n in (first, other))
    lead = (found.own[first] - found.own[other]) * (1 if found.greater_is_better else -1)
    error = math.sqrt(max(found.covariance[first, first] + found.covariance[other, other] - 2 * found.covariance[first, other], 0.0))
    told = f"out of fold {lead:+.3g} ± {error:.2g} ahead of {found.names[other]}"
    run = found.runs[first]
    if found.same_folds and len(one) > 1 and (run.folder / "folds.csv").is_file():
        return f"{told}, p {corrected_t_test(one, its, ratio_of(run.folder / 'folds.csv'))[2]:.2g} over folds"
    return told


def _apart(found: Candidates, first: int, second: int) -> str:
    """How the two submissions and their errors differ."""
    lines = diff(*(found.runs[n].folder for n in (first, second)))
    columns = [line.removeprefix("column  ") for line in lines if line.startswith("column ")]
    ranks = [line.strip().split(",")[0] for line in lines if "rank correlation" in line and line.startswith("  ")]
    if found.own is None:
        return "; ".join([*columns[:1], *ranks[:1]])
    c = found.covariance
    scale = math.sqrt(c[first, first] * c[second, second])
    together = f"errors out of fold correlate by {c[first, second] / scale:.2f}" if scale > 0 else "no errors out of fold to compare"
    return "; ".join([together, *columns[:1], *ranks[:1]])
