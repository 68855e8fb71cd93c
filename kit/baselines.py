"""The ladder of simple models: each a run of its own, so that all can be blended, with its lift over the step below."""

from importlib.util import find_spec
from pathlib import Path

from kit.competition import Competition, open_competition
from kit.errors import ConfigError, RunError
from kit.fitting import Says
from kit.modelling import searches
from kit.pipeline import UNSCORED, train

SEARCHING = ("knn",)  # where neighbours are searched for among embeddings: of the ladder's models those that make some
LADDER = ("constant", "kmeans", "knn", "linear", "lightgbm", "mlp")


def ladder(path_or_name: str, *, preset: str | None, overrides: list[str]) -> list[str]:
    """The steps that the competition's task and this installation allow."""
    if searches(open_competition(path_or_name, preset=preset, overrides=overrides).task()):
        return list(SEARCHING)
    return [m for m in LADDER if m != "mlp" or find_spec("torch")]


def climb(path_or_name: str, data: Path, says: Says, *, preset: str | None, overrides: list[str], models: list[str]) -> list[tuple[str, float]]:
    """Trains each model on the same folds and prints its score and lift. Gives (model, score) pairs in the order trained."""
    scores: list[tuple[str, float]] = []
    steps = [_with_model(path_or_name, preset, overrides, name) for name in models]  # a wrong name is said before the first is trained
    for name, competition in zip(models, steps):
        run = train(competition, data, Says(progress=says.progress))
        if run.info["score"] == UNSCORED:
            raise RunError(f"{competition.name} has no labels to score with: no step of the ladder can be compared")
        score, spread = run.info["score"]["mean"], run.info["score"]["standard_error"]
        sign = 1 if run.info["greater_is_better"] else -1
        lift = "" if not scores else f"  lift {sign * (score - scores[-1][1]):+.4g}"
        says.result(f"{name:<12}{run.info['metric']} {score:.6g}" + ("" if spread is None else f" ± {spread:.2g}") + f"  {run.info['seconds']:.1f} s{lift}")
        scores.append((name, score))
    return scores


def _with_model(path_or_name: str, preset: str | None, overrides: list[str], name: str) -> Competition:
    if any(o.startswith("model.") for o in overrides):
        raise ConfigError("model.… cannot be overridden here: the ladder sets the model\nname the steps with --models constant,linear")
    return open_competition(path_or_name, preset=preset, overrides=[*(o for o in overrides if o != "train.final=further"), f"model.name={name}"])
