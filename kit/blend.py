"""Runs become one by their predictions, and the score that is told of it was fitted on no row that it is of.

The runs need not share folds, model or modality: they meet by id, through one contract.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kit import files, folds_csv, reporting, runs
from kit.choosing import MIXED, best_of_each, by_seed, check, first_folds, shared_folds, shares
from kit.combining import TASK, Members, Rule, combined, space_of
from kit.combining import checked as finite
from kit.competition import Competition, checked, resolved
from kit.config import Config, read
from kit.divided import answers_by_fold, folded_truth
from kit.errors import RunError, ScoreError, shorten
from kit.fitting import Says, constant_parts
from kit.folds import Fold
from kit.honest import Nested, drawn_again, hidden, interval, nested, told
from kit.modelling import searches
from kit.pipeline import NO_SCORE, UNSCORED, brief, score_line, write_submission
from kit.predictions import Predictions, joined
from kit.runs import Run
from kit.scoring import Metric, Score
from kit.stacking import METHODS, Judge
from kit.tables import Tables

__all__ = ["as_trained", "best_of_each", "blend", "shares"]

MEAN = "mean"
ON_CUTS, ON_ALL, EQUAL = "judged on cuts", "judged on all rows at once", "equal"  # how weights are found on a single validated part


def blend(competition: Competition, data: Path, chosen: list[Run], weights: list[float], says: Says, *, method: str = MEAN) -> Run:
    """A new run of the chosen runs' predictions.

    weights  of the mean, one a run, or none for equal ones
    method   "mean", or what finds weights out of fold: "greedy", "steady", "stack", "best" (see kit/stacking.py)
    Raises RunError where a run is unfinished, of another competition, or covers other rows, or where the method has no meaning for the task.
    """
    began = time.monotonic()
    check(competition.name, chosen, weights, method, [MEAN, *METHODS])
    config = _config(competition, chosen, weights, method)
    adapter, metric = competition.open_adapter(data), competition.metric()
    tables, task = adapter.tables(), adapter.task
    scored = chosen[0].info["score"] != UNSCORED
    if scored and answers_by_fold(task):
        others = [r.name for r in chosen if r.info["folds"] != chosen[0].info["folds"]]
        if others:
            raise RunError(f"{shorten(others)} were trained on other folds than {chosen[0].name}, by which other answers are right for a validated row\nblend runs of the same folds: train one side again with the score.folds of the other")
    with runs.started(competition.home / "runs", config, files.fingerprint(r.folder / "test.parquet" for r in chosen)) as run:
        if task.picks and scored and method != "best":
            _refuse_stack(method, config.output["task"])
            method = "best"
            says.progress("note    answers of this task have no mean: the best run's are taken")
        tested = _common([Predictions.read(r.folder / "test.parquet") for r in chosen], "test", says)
        rule, result = Rule(tuple(weights or [1.0] * len(chosen))), dict(NO_SCORE)
        if scored:
            work = _Blending(competition, config, tables, task, metric, chosen, says)
            rule, result = work.scored(run, rule, method)
        blended = {"runs": [r.name for r in chosen], "method": method, **rule.as_dict()}
        run.save(
            competition=competition.name,
            folder=str(competition.folder),
            asked=[*([f"--method {method}"] if method != MEAN else []), *(f"{r.name} x {w:.4g}" for r, w in zip(chosen, rule.weights))],
            blended=blended,
            task=task.state(),
            layout=adapter.layout(metric.needs(task.gives)),
            flags=reporting.flags(competition, data),
        )
        answered = combined(task, blended, tested, competition.home / "runs")
        answered.write(run.folder / "test.parquet")
        write_submission(adapter, task, metric, answered, result["post"], run.folder / "submission.csv")
        run.save(
            state="finished",
            metric=metric.name,
            greater_is_better=metric.greater_is_better,
            **result,
            held=run.held(),
            rows=len(tables.train),
            seconds=round(time.monotonic() - began, 2),
        )
        ids = tables.train.index.to_numpy(dtype=object)
        truth = folded_truth(competition, tables, task, first_folds(chosen, ids)) if scored else None
        reporting.write(run, replace(competition, config=config), reporting.Data(task, metric, tables, truth), says.progress)
        if not scored:
            says.result(f"cv      {metric.name} unscored: there are no labels")
    return run


def as_trained(competition: Competition, chosen: list[Run], asked: list[str], says: Says) -> Competition:
    """The competition as its runs have it: a section that they agree on, such as a preset's [input], unless `asked` sets a key of it.

    asked  overrides, such as "score.metric=auc"
    Raises ConfigError where what the runs had is no longer possible.
    """
    config, configs = competition.config, [read(r.folder / "config.toml") for r in chosen]
    now, wanted = resolved(competition), [text.partition("=")[0] for text in asked]
    for section in ("input", "output", "score", "post"):
        theirs, own = [_but_data(getattr(c, section)) for c in configs], _but_data(getattr(now, section))
        if any(key.startswith(f"{section}.") and key != "input.data" for key in wanted) or not all(t == theirs[0] for t in theirs) or not theirs or theirs[0] == own:
            continue
        says.progress(f"note    [{section}] is taken from the runs: it is another one in the config now, and would need an option such as {section}.KEY=VALUE")
        where = {k: v for k, v in getattr(config, section).items() if k == "data"}  # of the files, which is no part of a run
        config = replace(config, **{section: {**theirs[0], **where}})
    return replace(checked(config, competition.folder), asked=competition.asked)


def _but_data(section: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in section.items() if k != "data"}


def _config(competition: Competition, chosen: list[Run], weights: list[float], method: str) -> Config:
    asked = {"weights": [float(w) for w in weights or [1.0] * len(chosen)]} if method == MEAN else {"method": method}
    return replace(resolved(competition), model={"name": "blend", "runs": [r.name for r in chosen], **asked})


def _refuse_stack(method: str, task: str) -> None:
    if method == "stack":
        raise RunError(f'a stack weighs numbers, and a prediction of task "{task}" is none\nuse --method greedy')


def _common(parts: list[Predictions], what: str, says: Says) -> list[Predictions]:
    """The predictions for the rows that all runs cover."""
    shared = set(parts[0].ids).intersection(*(set(p.ids) for p in parts[1:]))
    if not shared:
        raise RunError(f"the runs share no {what} row\ndo they come from the same data?")
    beyond = max(len(p.ids) for p in parts) - len(shared)
    if beyond and what == "test":
        raise RunError(f"the runs predict different test rows: {beyond} are not in all of them\ntrain them on the same test file")
    if beyond:
        says.progress(f"note    {beyond} out-of-fold rows that not every run covers are left out of the score")
    return [p.take(list(shared)) if len(p.ids) > len(shared) else p for p in parts]


@dataclass(frozen=True)
class _Blending:
    """What scoring a blend out of fold needs at every step."""

    competition: Competition
    config: Config
    tables: Tables
    task: Any
    metric: Metric
    chosen: list[Run]
    says: Says

    def scored(self, run: Run, rule: Rule, method: str) -> tuple[Rule, dict[str, Any]]:
        """The rule fitted on all out-of-fold rows, and what run.json says of the blend; the blend's own out-of-fold rows are written."""
        task, chosen, ids = self.task, self.chosen, self.tables.train.index.to_numpy(dtype=object)
        known = [Predictions.read(r.folder / "oof.parquet") for r in chosen]
        parts = _common(known, "out-of-fold", self.says)
        space = TASK if method == MEAN else space_of(task, self.metric, parts[0])
        split = shared_folds(chosen, ids)
        parted = split or first_folds(chosen, ids)
        judge = self._judge(parted, parts[0])
        if method == MEAN:
            members = Members.of(task, TASK, parts)
            made = members.by(rule)
            found = told(judge, made, [made])
            in_sample, cut = None, {}
        else:
            if space == TASK or getattr(task, "open_set", False):
                _refuse_stack(method, self.config.output["task"])
            members = Members.of(task, space, parts, known)
            rule, found, in_sample, cut = self._fitted(members, judge, method)
        found.oof.write(run.folder / "oof.parquet")
        if split:
            folds_csv.write(run.folder / "folds.csv", ids, split)
        scores = self._scores(judge, members)
        for each, score, weight in zip(chosen, scores, rule.weights):
            self.says.result(f"run     {each.name:<24}{self.metric.name} {score:.6g}  weight {weight:.4g}")
        constant, honest = self._told(found, judge, members, parted, in_sample, scores)
        return rule, {
            "score": found.score.as_dict(),
            "constant": self._known_constant if constant is None else constant.mean,
            "post": found.post,
            "honest": honest | cut,
            "folds": chosen[0].info["folds"] if split else MIXED,
            "covered": len(found.oof.ids),
            "validated": max(r.info["validated"] for r in chosen),
        }

    def _judge(self, parted: list[Fold], covered: Predictions) -> Judge:
        """Of the covered rows, by the parts that the first repeat validates."""
        truth = folded_truth(self.competition, self.tables, self.task, parted).set_index("id", drop=False).loc[covered.ids].reset_index(drop=True)
        ids, place = self.tables.train.index, {id: n for n, id in enumerate(covered.ids)}
        parts = [np.array(sorted(place[id] for id in ids[f.valid] if id in place), np.int64) for f in parted if f.repeat == 0]
        parts = [own for own in parts if len(own)]
        lacking = len(place) - sum(len(own) for own in parts)
        return Judge(self.task, self.metric, truth, parts if parts and not lacking else [np.arange(len(place))], self.config.post)

    def _fitted(self, members: Members, judge: Judge, method: str) -> tuple[Rule, Nested, float, dict[str, Any]]:
        """(the rule of all rows, its honest score, its score in sample, how weights were found where the one validated part had to be cut).

        Where the metric is not defined on the cuts, weights are judged on all rows that they may see, at once; where it is not defined for these, they are equal.
        """
        groups, alone = by_seed(self.chosen), judge.parts
        single = len(alone) < 2
        if single:
            group = self.tables.roles["group"].loc[members.ids].to_numpy() if "group" in self.tables.roles else None
            alone = hidden(self.task, judge.truth, group)
            self.says.progress(f"note    one validated part: it is cut in {len(alone)} for the honest score")
        fits: list[str] = []

        def fit(some: Members, by: Judge) -> Rule:
            if not single:
                return METHODS[method](some, by, groups)
            for way, parts in ((ON_CUTS, by.parts), (ON_ALL, [np.arange(len(some.ids))])):
                with suppress(ScoreError):  # the rows lack what the metric needs, such as one of two classes
                    rule = METHODS[method](some, replace(by, parts=parts), groups)
                    fits.append(way)
                    return rule
            fits.append(EQUAL)
            return Rule(tuple(shares(self.chosen)), some.space)

        rule = fit(members, replace(judge, parts=alone))
        made = finite(members.by(rule))
        in_sample = (1 if self.metric.greater_is_better else -1) * judge.quality(made, judge.post(made))
        found = nested(members, judge, fit, alone)
        ways = {way: fits.count(way) for way in (ON_CUTS, ON_ALL, EQUAL) if way in fits}
        for way in [way for way in ways if way != ON_CUTS]:
            where = "some cuts" if way == ON_ALL else "the rows beside some cuts"
            self.says.progress(f"note    {self.metric.name} is not defined for {where}: {ways[way]} of {len(fits)} times the weights were {way}")
        return rule, found, in_sample, {"cuts": len(alone), "weights": ways} if single else {}

    @cached_property
    def _as_scored(self) -> bool:
        """Whether each run has been scored as the blend is: by the metric, the folds, the weights and the post-processing of its config."""
        own, *theirs = [config.as_dict() for config in (self.config, *(read(r.folder / "config.toml") for r in self.chosen))]
        return all(told.get(section) == own.get(section) for told in theirs for section in ("score", "post"))

    @property
    def _known_constant(self) -> float | None:
        return self.chosen[0].info.get("constant") if self._as_scored else None

    def _scores(self, judge: Judge, members: Members) -> list[float]:
        """Of each run by the blend's metric: its own where all were scored so and cover the same rows, else anew on the rows that they share."""
        if self._as_scored and all(r.info["covered"] == len(members.ids) for r in self.chosen):
            return [r.info["score"]["mean"] for r in self.chosen]
        return [self.alone(judge, members, n).score.mean for n in range(len(self.chosen))]

    def _told(
        self, found: Nested, judge: Judge, members: Members, parted: list[Fold], in_sample: float | None, scores: list[float]
    ) -> tuple[Score | None, dict[str, Any]]:
        """(the constant's score, what rows drawn again say), with the lines about it. scores  of the runs"""
        metric, sign = self.metric, 1 if self.metric.greater_is_better else -1
        position = int(np.argmax(sign * np.array(scores)))
        best, alone = self.chosen[position], self.alone(judge, members, position)
        constant = self._constant(judge, members, parted)
        draws = drawn_again(judge, [found, alone, *([constant] if constant else [])])
        honest: dict[str, Any] = {"in_sample": in_sample, "best": best.name, "gain": sign * (found.score.mean - alone.score.mean)}
        if draws is not None:
            honest["interval"] = interval(found.score.mean, draws[:, 0])
            honest["gain_interval"] = interval(honest["gain"], sign * (draws[:, 0] - draws[:, 1]))
        if constant and draws is not None:
            honest["lift"] = sign * (found.score.mean - constant.score.mean)
            honest["lift_interval"] = interval(honest["lift"], sign * (draws[:, 0] - draws[:, 2]))
        for line in _lines(metric, found.score, alone.score, honest):
            self.says.result(line)
        score = constant.score if constant else None
        shown = score or (None if self._known_constant is None else Score([self._known_constant], self._known_constant))
        self.says.result(score_line(metric, found.score, shown))
        return score, honest

    def alone(self, judge: Judge, members: Members, position: int) -> Nested:
        """One of the runs on the same rows."""
        read = Predictions.read(self.chosen[position].folder / "oof.parquet")
        made = read.take(list(members.ids)) if len(read.ids) > len(members.ids) else read
        return told(judge, made, [made])

    def _constant(self, judge: Judge, members: Members, parted: list[Fold]) -> Nested | None:
        """The same answer everywhere, of the rows that each fold trains on; None where it has no score."""
        if searches(self.task) or not parted:
            return None
        ids, target = self.tables.train.index.to_numpy(dtype=object), self.task.encode(self.tables.truth)
        weight = self.tables.roles["weight"].to_numpy(dtype=np.float64) if "weight" in self.tables.roles else None
        whole = joined(constant_parts(self.competition, self.task, ids, target, weight, [f for f in parted if f.repeat == 0]))
        if len(np.intersect1d(whole.ids, members.ids)) < len(members.ids):
            return None
        made = whole.take(list(members.ids))
        try:
            return told(judge, made, [made])
        except ScoreError:
            return None


def _lines(metric: Metric, score: Score, alone: Score, honest: dict[str, Any]) -> list[str]:
    lines = []
    if honest["in_sample"] is not None:
        lines.append(f"sample  {metric.name} {honest['in_sample']:.6g} on the rows that weights were fitted on, {score.mean:.6g} on others")
    if "interval" in honest:
        low, high = honest["interval"]
        lines.append(f"rows    {metric.name} {score.mean:.6g}, 95 % {low:.6g} to {high:.6g} if other rows were drawn")
    if "lift" in honest:
        lines.append(f"lift    {honest['lift']:+.4g} over the constant, 95 % {_range(honest['lift_interval'])}")
    surely = honest.get("gain_interval", [honest["gain"]] * 2)
    word = "better" if surely[0] > 0 else "worse" if surely[1] < 0 else "no better than chance would have it"
    told_range = f", 95 % {_range(surely)}" if "gain_interval" in honest else ""
    return [*lines, f"best    {honest['best']:<24}{metric.name} {alone.mean:.6g}: the blend is {word} ({honest['gain']:+.4g}{told_range})"]


def _range(bounds: list[float]) -> str:
    return " to ".join(f"{'+' if b >= 0 else '-'}{brief(abs(b))}" for b in bounds)
