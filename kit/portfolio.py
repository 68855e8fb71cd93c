"""Which models a budget trains on what kind of competition, and in which order."""

import importlib.util
import math
from dataclasses import dataclass

from kit.competition import Competition


@dataclass(frozen=True)
class Step:
    """
    label      in the table of steps
    overrides  of the config
    cost       seconds, as a multiple of the first booster's, as it usually was on eleven tables; a network's with the budget's margin taken off, since none can be
               cut short; inf where nobody knows, so that it is tried with whatever time is left
    """

    label: str
    overrides: tuple[str, ...]
    cost: float

    @property
    def family(self) -> str:
        """Steps whose seconds tell of each other's: boosters with as many rounds as the rows ask for, networks, or the model alone."""
        model = next((o.partition("=")[2] for o in self.overrides if o.startswith("model.name=")), "")
        return next((family for family, models in _FAMILIES.items() if model in models), model)


BOOSTER = "lightgbm, quick"  # the step by whose seconds others are judged
QUICK_ROUNDS = 100  # of it
TABLES = (  # in the order that benchmarks/zero_shot.py found on eleven tables; from extra_trees on, what brought nothing more there, by kind
    Step("constant", ("model.name=constant",), 0.0),
    Step(BOOSTER, ("model.name=lightgbm", f"model.rounds={QUICK_ROUNDS}", "model.learning_rate=0.1"), 0.0),
    Step("lightgbm, small trees", ("model.name=lightgbm", "model.leaves=6", "model.min_rows=20"), 5.0),
    Step("linear", ("model.name=linear",), 2.0),
    Step("realmlp", ("model.name=realmlp",), 25.0),
    Step("lightgbm", ("model.name=lightgbm",), 5.0),
    Step("lightgbm, random cuts", ("model.name=lightgbm", "model.extra_trees=true"), 8.0),
    Step("mlp", ("model.name=mlp",), 13.0),
    Step("lightgbm, large leaves", ("model.name=lightgbm", "model.min_rows=100", "model.l2=30"), 7.0),
    Step("extra_trees", ("model.name=extra_trees",), 6.0),
    Step("catboost", ("model.name=catboost",), 12.0),
    Step("lightgbm, few columns", ("model.name=lightgbm", "model.column_share=0.3", "model.row_share=0.6"), 5.0),
    Step("tabm", ("model.name=tabm",), 20.0),
    Step("xgboost", ("model.name=xgboost",), 6.0),
    Step("lightgbm, large trees", ("model.name=lightgbm", "model.leaves=127", "model.min_rows=10"), 6.0),
    Step("lightgbm, slow", ("model.name=lightgbm", "model.learning_rate=0.02"), 6.0),
    Step("sparse_mlp", ("model.name=sparse_mlp",), 13.0),
    Step("knn", ("model.name=knn",), 2.0),
)
_LIBRARIES = {"catboost": "catboost", "xgboost": "xgboost", "realmlp": "torch", "mlp": "torch", "tabm": "torch", "sparse_mlp": "torch"}  # model -> what it needs beyond the base
BOOSTERS = ("lightgbm", "catboost", "xgboost")
_FAMILIES = {"boosters": BOOSTERS, "networks": ("realmlp", "mlp", "tabm", "sparse_mlp")}
_BY_TASK = ("binary", "multiclass", "multilabel", "regression")  # tasks that the tables' portfolio serves


def portfolio(competition: Competition) -> list[Step]:
    """The steps for this competition, those left out whose libraries are not installed; its own model among them."""
    task = competition.config.output["task"]
    own = Step(f"{competition.config.model['name']}, as the config has it", (), math.inf)
    if task not in _BY_TASK:
        simple = {"retrieval": ["knn"], "detection": ["nearest"], "segmentation": ["nearest"], "clustering": ["helix"]}.get(task, [])
        return [*(Step(name, (f"model.name={name}",), 0.0) for name in simple if name != competition.config.model["name"]), own]
    there = [s for s in TABLES if all(importlib.util.find_spec(lib) for model, lib in _LIBRARIES.items() if f"model.name={model}" in s.overrides)]
    if competition.takes():  # files go through a network, and for these models through frozen features
        return [there[0], *(s for s in there if s.label in ("knn", "linear", "lightgbm")), own]
    return [*there[:2], own, *there[2:]] if _differs(competition) else there


def side_by_side(competition: Competition) -> bool:
    """Whether its steps are small beside the machine: those of tables are, and what reads pictures, sounds or long texts takes all cores, or the one device, by itself."""
    return competition.config.output["task"] in _BY_TASK and not competition.takes()


def _differs(competition: Competition) -> bool:
    """Whether the config's own model is more than a step of the portfolio."""
    config = competition.config
    return config.model["name"] != "lightgbm" or len(config.model) > 1
