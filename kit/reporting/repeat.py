"""The command that makes a run again."""

import shlex
from pathlib import Path

from kit.competition import Competition
from kit.errors import KitError
from kit.runs import Run


def flags(competition: Competition, data: Path) -> list[str]:
    """How a command names the folder of the data: nothing where it would look there anyway."""
    if data.resolve() == (competition.home / "sample").resolve():
        return ["--sample"]
    try:
        usual = competition.data(None, False)
    except KitError:
        usual = None
    return [] if usual is not None and usual.resolve() == data.resolve() else ["--data", str(data)]


def command(run: Run, competition: Competition) -> str:
    """As it is typed in the folder that the run's competitions/ lies in."""
    info = run.info
    name = competition.name if competition.folder.parent.name == "competitions" else str(competition.folder)
    if blended := info.get("blended"):
        given, method = blended.get("weights", []), blended.get("method", "mean")
        asked = [*blended["runs"], *(["--method", method] if method != "mean" else [])]
        asked += ["--weights", ",".join(f"{w:g}" for w in given)] if method == "mean" and len(set(given)) > 1 else []
        words = ["kit", "blend", name, *asked]
    else:
        asked = [word for told in info.get("asked", []) for word in (told.split(" ", 1) if told.startswith("--") else [told])]
        words = ["kit", "train", name, *asked]
    return shlex.join([*words, *info.get("flags", [])])
