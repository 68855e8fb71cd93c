"""A search for better options of a model: trials scored out of fold, poor ones given up after a fold or two, the best one trained as a run.

Trials are scored on folds of their own, drawn with another seed than the config's, or cut from what its last fold trains on where its scheme
draws nothing, as forward in time: the score of the run that comes of it is not the one that it was chosen by. Where neither can be, that is told.
What was tried is in a sqlite file, so the same command goes on where it was stopped.
"""

import hashlib
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from kit import files, folds
from kit.competition import Competition, open_competition, resolved
from kit.divided import divided, folded_truth
from kit.errors import ConfigError, FoldError, ScoreError, TrainingError, bullets, did_you_mean, shorten
from kit.fitting import Says, Work, by_repeat, fold_predictions
from kit.folds import Fold, Rows
from kit.modelling import model_of
from kit.pipeline import train
from kit.registry import find
from kit.runs import Run
from kit.scoring import score_folds
from kit.space import Choice, Real, Space, Whole

_OTHER_FOLDS = 1000  # added to the seed of the config's folds
_RANDOM = 8  # trials before the sampler models what it has seen, and before any is given up
_AS_GIVEN = "the config as it is"  # the first trial
_ANEW, _OWN = "drawn anew", "those of the run"  # where trials are scored, as run.json tells it


def space_of(competition: Competition, wanted: list[str]) -> Space:
    """option ("model.leaves", "train.lr") -> range, of the model and of the loop that trains it.

    wanted  options that alone are varied; [] is all
    Raises ConfigError where there is nothing to vary, or where one is asked for that there is no range of.
    """
    kind, model, _ = competition.model()
    found = {f"model.{name}": range_ for name, range_ in getattr(model, "space", {}).items()}
    if kind == "zoo":
        found |= {f"train.{name}": range_ for name, range_ in find("estimators", "neural").space.items()}
    name = competition.config.model["name"]
    if not found:
        raise ConfigError(f'model "{name}" says no ranges of its options, so there is nothing to search\nname one that does: model.name=lightgbm, or give yours a class attribute "space"')
    unknown = [w for w in wanted if w not in found]
    if unknown:
        raise ConfigError(bullets(f'--vary {w}: model "{name}" has no range for it{did_you_mean(w, found)}; it has {shorten(found, 20)}' for w in unknown))
    return {k: v for k, v in found.items() if not wanted or k in wanted}


def tune(path_or_name: str, data: Path, says: Says, *, preset: str | None, overrides: list[str], trials: int, seconds: float, vary: list[str]) -> Run:
    """The run of the best trial.

    trials   in all, those of earlier calls among them
    seconds  after which no trial is begun; 0 is any time
    vary     options that alone are varied, such as model.leaves; [] is all that the model says ranges of
    """
    began = time.monotonic()
    competition = open_competition(path_or_name, preset=preset, overrides=overrides)
    space, metric = space_of(competition, vary), competition.metric()
    folder = competition.home / "tuning" / f"{competition.config.model['name'].strip('./').replace('.py', '')}-{_told(competition, space, data)}"
    folder.mkdir(parents=True, exist_ok=True)
    study = _study(folder, metric.greater_is_better)
    trial_of = _Trials(competition, data, folder, says)
    done = [t for t in study.trials if t.state.is_finished()]
    if done:
        says.progress(f"going on after {len(done)} trials in {folder}")
    for number in range(len(done), trials):
        if seconds and time.monotonic() - began > seconds:
            says.progress(f"the time is up after {number} trials")
            break
        trial = study.ask()
        given = {} if number == 0 else {key: _suggested(trial, key, range_) for key, range_ in space.items()}
        value, ended = trial_of(given, trial)
        study.tell(trial, value if ended == "complete" else None, state=optuna.trial.TrialState[{"complete": "COMPLETE", "given up": "PRUNED"}.get(ended, "FAIL")])
        says.result(_line(number, given, value, ended, metric.name))
    complete = [t for t in study.trials if t.state.name == "COMPLETE"]
    if not complete:
        raise ConfigError(f"none of {len(study.trials)} trials was scored: see the lines above")
    best = study.best_trial
    chosen = [f"{key}={json.dumps(value)}" for key, value in best.params.items()]
    first = next((t for t in complete if t.number == 0), None)
    gain = "" if first is None else f", {_AS_GIVEN} {first.value:.6g}"
    says.result(f"best    trial {best.number} of {len(study.trials)}: {metric.name} {best.value:.6g} on the folds of the search{gain}")
    says.result(f"options {' '.join(chosen) or _AS_GIVEN}")
    run = train(open_competition(path_or_name, preset=preset, overrides=[*overrides, *chosen]), data, says)
    run.save(tuned={"trials": len(study.trials), "best": best.value, "folds": trial_of.folds})
    if trial_of.warning:
        run.log(trial_of.warning)
    return run


def _told(competition: Competition, space: Space, data: Path) -> str:
    """A hash of what is searched in: another config, other files or other ranges are another search."""
    adapter = competition.open_adapter(data)
    told = [resolved(competition).as_dict(), files.fingerprint(adapter.files()), {k: str(v) for k, v in space.items()}]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _study(folder: Path, greater_is_better: bool) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="kit",
        storage=f"sqlite:///{folder / 'trials.sqlite'}",
        load_if_exists=True,
        direction="maximize" if greater_is_better else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_RANDOM, n_warmup_steps=0),
    )
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials), n_startup_trials=_RANDOM)  # a call that goes on must not draw what an earlier one drew
    return study


def _suggested(trial: optuna.Trial, key: str, range_: Real | Whole | Choice) -> Any:
    if isinstance(range_, Choice):
        return trial.suggest_categorical(key, range_.values)
    ask = trial.suggest_float if isinstance(range_, Real) else trial.suggest_int
    return ask(key, range_.low, range_.high, log=range_.log)


def _line(number: int, given: dict[str, Any], value: float | None, ended: str, metric: str) -> str:
    told = " ".join(f"{key.split('.', 1)[1]}={v:.3g}" if isinstance(v, float) else f"{key.split('.', 1)[1]}={v}" for key, v in given.items())
    scored = ended if value is None or ended != "complete" else f"{metric} {value:.6g}"
    return f"trial {number:<4}{scored:<24}{told or _AS_GIVEN}"


class _Trials:
    """Scores options out of fold; tables are read and files gathered once for all."""

    def __init__(self, competition: Competition, data: Path, folder: Path, says: Says):
        self.folder, self.says, self.competition = folder, says, replace(competition, config=resolved(competition))
        scheme, fold_options = self.competition.folds()
        if "seed" in fold_options:
            config = self.competition.config
            asked = {"scheme": scheme, **fold_options, "seed": fold_options["seed"] + _OTHER_FOLDS}
            self.competition = replace(self.competition, config=config.with_("score", folds=asked))
        adapter = self.competition.open_adapter(data)
        tables, self.metric = adapter.tables(), self.competition.metric()
        if tables.truth is None:
            raise ConfigError("there are no labels to score trials with")
        rows, split, self.truth = divided(self.competition, tables, adapter.task, says.progress)
        self.split, self.folds = _elsewhere(rows, split, scheme, fold_options)
        self.warning = ""
        if self.folds != _ANEW:
            self.truth = folded_truth(self.competition, tables, adapter.task, self.split)
            what = f"{self.folds}, and its score flatters" if self.folds == _OWN else self.folds
            self.warning = f'folds   scheme "{scheme}" divides these rows in one way only: trials are scored on {what}'
            says.result(self.warning)
        self.work = Work.of(self.competition, adapter.task, self.metric, tables, rows, Run(folder, {}), Says())
        if self.work.searches:
            raise ConfigError("kit tune scores trials fold by fold, which a search among embeddings has not been built for: tune on the labels, output.task=multiclass")
        self.work.gather(model_of(self.competition, adapter.task, says.progress))

    def __call__(self, given: dict[str, Any], trial: optuna.Trial) -> tuple[float | None, str]:
        """(mean score of the folds, "complete"), or (None, why not)."""
        folder = self.folder / f"trial-{trial.number}"
        config = self.competition.config
        for section in {key.split(".", 1)[0] for key in given}:
            config = config.with_(section, **{key.split(".", 1)[1]: value for key, value in given.items() if key.startswith(f"{section}.")})
        work = replace(self.work, competition=replace(self.competition, config=config), run=Run(folder, {}))
        folder.mkdir(exist_ok=True)
        parts = []
        try:
            for k, fold in enumerate(self.split):
                parts.append(fold_predictions(work, fold, k, self.truth, test=False))
                score = files.read_json(folder / f"fold-{k}" / "fold.json")["score"]
                scores = [files.read_json(folder / f"fold-{n}" / "fold.json")["score"] for n in range(k + 1)]
                if score is not None and math.isfinite(score):
                    trial.report(float(np.mean([s for s in scores if s is not None])), k)
                if k + 1 < len(self.split) and trial.should_prune():
                    return None, "given up"
            return score_folds(self.metric, work.task, self.truth, by_repeat(self.split, parts), config.post)[0].mean, "complete"
        except (TrainingError, ScoreError) as error:
            self.says.progress(f"trial {trial.number}: {str(error).splitlines()[0]}")
            return None, "failed"
        finally:
            _remove(folder)


def _elsewhere(rows: Rows, split: list[Fold], scheme: str, options: dict[str, Any]) -> tuple[list[Fold], str]:
    """(the folds that trials are scored on, what they are): `split`, unless the config's folds validate the same rows together; then cuts of what the last one trains on.

    split    of another seed
    options  of the scheme in the config
    """
    own = folds.split(rows, scheme=scheme, **options)
    drawn = {f.valid.tobytes(): f.train for f in split}
    if not drawn.keys() <= {f.valid.tobytes() for f in own}:
        return split, _ANEW
    outer = drawn.get(own[-1].valid.tobytes(), split[-1].train)
    inside = scheme if scheme != "given" else "stratified" if rows.group is None else "stratified_group"
    many = 1 if scheme == "holdout" else len(split)
    try:
        cuts = folds.cuts(rows.take(outer), inside, options.get("seed", 0) + _OTHER_FOLDS, options if inside == scheme else None, how_many=many)
    except FoldError:  # too few rows
        return split, _OWN
    return [Fold(0, k, outer[kept], outer[held]) for k, (kept, held) in enumerate(cuts)], f"cuts of the rows that fold {own[-1].fold} trains on"


def _remove(folder: Path) -> None:
    """Models of trials are many and large; what they were worth is in the sqlite file."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()

