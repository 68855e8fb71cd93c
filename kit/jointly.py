"""A preset of several runs: its own, those of the presets that it blends with, and the mean of all as a run of its own."""

from pathlib import Path

from kit import pipeline
from kit.blend import as_trained, blend
from kit.competition import open_competition
from kit.config import blended_with, suits_any_model
from kit.errors import ConfigError, bullets
from kit.fitting import Says
from kit.runs import Run


def train(path_or_name: str, data: Path, says: Says, *, preset: str | None, overrides: list[str]) -> Run:
    """The run of a preset, or the blend that it asks for. An override that names a model, or one fold, asks for that alone.

    Given again, it goes on where it was stopped: runs that are finished are taken as they are.
    """
    competition = open_competition(path_or_name, preset=preset, overrides=overrides)
    others = [] if any(text.startswith(("model.name=", "train.fold=")) for text in overrides) else blended_with(competition.folder / "config.toml", preset)
    if not others:
        return pipeline.train(competition, data, says)
    if own := [text for text in overrides if not suits_any_model(text)]:
        told = [f'{text}: preset "{preset}" has {len(others) + 1} models, and this is for one of them' for text in own]
        raise ConfigError(bullets(told) + f"\nname the model that it is for, which is then trained alone: model.name={competition.config.model['name']}")
    opened = [competition, *(open_competition(path_or_name, preset=name, overrides=overrides) for name in others)]
    chosen = []
    for name, each in zip([preset, *others], opened):
        says.result(f"preset  {name}: {each.config.model['name']}, one of {len(opened)} to be blended")
        chosen.append(pipeline.train(each, data, says, anew=False))
    return blend(as_trained(competition, chosen, [], says), data, chosen, [], says)
