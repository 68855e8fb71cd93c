"""What a run's prediction needs of other distributions: by the kind of its models, and by what was imported when it was tried."""

import importlib
import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import kit
from kit import predict
from kit.competition import Competition
from kit.errors import RunError
from kit.modelling import searches
from kit.runs import Run

NAME = "competition-kit"


def plain(name: str) -> str:
    """A distribution's name as the packaging standards compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements() -> dict[str, tuple[str, set[str]]]:
    """What kit needs: distribution -> (versions, such as ">=3.0", the extras that ask for it; "" is the base install).

    Raises RunError where kit is neither installed nor run from its checkout.
    """
    found: dict[str, tuple[str, set[str]]] = {}
    for extra, lines in asked_by_extra().items():
        for line in lines:
            name, versions = re.fullmatch(r"([\w.-]+)(?:\[.*\])?\s*\(?([^)]*)\)?", line.strip()).groups()
            found.setdefault(plain(name), (versions.replace(" ", ""), set()))[1].add(extra)
    return found


def asked_by_extra() -> dict[str, list[str]]:
    """Extra -> its requirements, those of extras that it names among them. A checkout's pyproject.toml is newer than what its installing wrote down."""
    project = _project()
    lines = {"": project.get("dependencies", []), **project.get("optional-dependencies", {})}
    if not project:
        lines = {}
        for line in _installed_here().get_all("Requires-Dist") or []:
            asked, _, marker = line.partition(";")
            named = re.search(r"extra\s*==\s*['\"](.+?)['\"]", marker)
            lines.setdefault(named[1] if named else "", []).append(asked)

    def whole(extra: str) -> list[str]:
        found = []
        for line in lines.get(extra, []):
            others = re.fullmatch(rf"{NAME}\[(.+)\]", line.strip())
            found += [each for other in others[1].split(",") for each in whole(other.strip())] if others else [line]
        return found

    return {extra: whole(extra) for extra in lines}


def python_versions() -> str:
    """The versions of Python that kit runs on, such as ">=3.11"."""
    return _project().get("requires-python") or _installed_here()["Requires-Python"]


def _project() -> dict[str, Any]:
    """The checkout's own description; {} where kit is installed."""
    path = Path(kit.__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}) if path.is_file() else {}
    return project if project.get("name") == NAME else {}


def _installed_here() -> Any:
    try:
        return metadata.metadata(NAME)
    except metadata.PackageNotFoundError as error:
        raise RunError("what kit needs is written nowhere: it is neither installed here nor run from its checkout\ninstall it, then bundle again") from error


def needs_of(run: Run, competition: Competition) -> dict[str, str]:
    """Distribution -> versions, by the kind of the models: more than is needed rather than less."""
    extras = {""}
    named = set()
    for each in predict.members(run):
        own = predict.competition_of(each)
        extras |= _extras(own, each)
        named |= {own.config.model["name"]} & {"catboost", "xgboost"}
    asked = requirements()
    found = {name: versions for name, (versions, by) in asked.items() if by & (extras - {"boost"}) or name in named}
    return {**found, NAME: f"=={kit.__version__}"}


def _extras(competition: Competition, run: Run) -> set[str]:
    kind, _, _ = competition.model()
    kinds = {column.kind for column in predict.schema_of(run).values()}
    config, task = competition.config, competition.task()
    network = kind == "zoo" or (run.folder / "unlabelled").is_dir()
    found = {"neural"} if network else set()
    found |= {word for word in ("image", "audio") if word in kinds}
    found |= {"text"} if "text" in competition.takes() or config.encoders.get("text", {}).get("weights") else set()
    found |= {"retrieval"} if searches(task) or getattr(task, "open_set", False) else set()
    found |= {"detection"} if config.output["task"] in ("detection", "segmentation") else set()
    return found | ({"tracking"} if config.output["task"] == "clustering" else set())


def versions_of(used: Iterable[str]) -> dict[str, str]:
    """Of what was imported, what kit asks for; what a competition's own modules import besides is wanted in any version."""
    asked = requirements()
    return {name: asked[name][0] if name in asked else "" for name in sorted(used)}


def installed(name: str) -> str:
    """A distribution's version here, "" where it is not."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def providers(modules: set[str]) -> dict[str, str]:
    """Top-level module -> the distribution that it comes from, of those that are installed."""
    importlib.invalidate_caches()
    known = metadata.packages_distributions()
    return {name: plain(known[name][0]) for name in sorted(modules) if name in known}
