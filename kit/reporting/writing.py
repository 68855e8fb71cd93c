"""A finished run in, its report.html out. A part that cannot be made is named in the page and in a warning, and the others stand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kit.competition import Competition
from kit.errors import KitError, shorten
from kit.files import write_text
from kit.reporting import learning, maps, standing
from kit.reporting.amounts import regression
from kit.reporting.anything import anything
from kit.reporting.cards import Card
from kit.reporting.classes import binary, multiclass
from kit.reporting.labels import multilabel
from kit.reporting.markup import Html, clean, el
from kit.reporting.neighbours import retrieval
from kit.reporting.page import page
from kit.reporting.repeat import command
from kit.reporting.seen import Data, Seen
from kit.reporting.specimens import shelf_of, specimens
from kit.runs import Run

NAME = "report.html"
_OF_TASK = {"binary": binary, "multiclass": multiclass, "multilabel": multilabel, "regression": regression, "retrieval": retrieval}


def write(run: Run, competition: Competition, data: Data | None, progress: Callable[[str], None]) -> Path | None:
    """The report's path; None, with a warning, where it cannot be written: the run is whole without it.

    data  None where they are not there: the report says so, and does without what needs them
    """
    try:
        text = _Making(Seen(run, competition, data), progress).text()
        write_text(run.folder / NAME, text)
    except KitError as error:
        progress(f"warning no {NAME}: {_first(error)}")
        return None
    return run.folder / NAME


class _Making:
    def __init__(self, seen: Seen, progress: Callable[[str], None]):
        self.seen, self.progress = seen, progress
        self.missing: list[tuple[str, str]] = []

    def text(self) -> str:
        seen, info = self.seen, self.seen.run.info
        cards = self._standing()
        examples: Html | None = None
        shelf = None if seen.data is None else self._tried("examples", lambda: shelf_of(seen))
        if seen.data is None:
            self.missing.append(("errors and examples", "the data that the run was made of are not where they were; kit report RUN --data DIR says where they are"))
        elif seen.scored:
            judged = self._tried("errors", self._judged)
            if judged is not None:
                cards += judged[0]
                examples = self._tried("examples", lambda: specimens(seen, judged[1], shelf))
        cards += [*self._maps(shelf), *self._making()]
        model = f"a blend of {shorten(info['blended']['runs'], 6)}" if "blended" in info else f"model {seen.competition.config.model['name']}"
        told = f"{seen.competition.config.output['task']}, {model}"
        below = [*([examples] if examples is not None else []), self._again()]
        title = seen.competition.config.title or seen.competition.name
        return page(seen.run.name, eyebrow=title, told=told, head=standing.headline(seen), tiles=standing.tiles(seen), cards=[c for c in cards if c is not None], below=below)

    def _standing(self) -> list[Card | None]:
        seen, made = self.seen, []
        if seen.scored:
            made = [self._tried("scores by fold", lambda: standing.by_fold(seen)), self._tried("the other runs", lambda: standing.beside(seen))]
        return [*made, self._tried("learning curves", lambda: learning.curves(seen))]

    def _making(self) -> list[Card | None]:
        return [self._tried("importances", lambda: learning.columns(self.seen)), self._tried("time by fold", lambda: learning.times(self.seen))]

    def _judged(self) -> tuple[list[Card], Any]:
        oof, truth, _ = self.seen.answers
        return _OF_TASK.get(self.seen.competition.config.output["task"], anything)(self.seen, oof, truth)

    def _maps(self, shelf: Any) -> list[Card | None]:
        seen = self.seen
        found = [self._tried("a map of the embeddings", lambda: maps.embeddings(seen, shelf))]
        if seen.data is not None and seen.scored and seen.competition.config.output["task"] == "multiclass":
            found.append(self._tried("a map of the answers", lambda: maps.answers(seen, shelf)))
        return found

    def _tried(self, what: str, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except KitError as error:
            self.missing.append((what, _first(error)))
            self.progress(f"warning {NAME} lacks {what}: {_first(error)}")
            return None

    def _again(self) -> Html:
        seen, info = self.seen, self.seen.run.info
        facts = [("folds", info["folds"]), ("data", info["data"]), ("seed", info["seed"]), ("versions", ", ".join(f"{name} {version}" for name, version in info["versions"].items()))]
        facts += [("looked at, without labels", text) for text in info.get("exceptions", [])]
        facts += [(f"missing here: {what}", why) for what, why in self.missing]
        pairs = [part for name, value in facts for part in (el("dt", name), el("dd", clean(value, 400)))]
        return el("section", el("h2", "To make it again"), el("pre", clean(command(seen.run, seen.competition))), el("dl", *pairs, class_="facts"), class_="wide")


def _first(error: KitError) -> str:
    return str(error).split("\n")[0]
