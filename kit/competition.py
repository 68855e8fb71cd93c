"""A competition folder opened: its config, and every part that the config names, checked before any data is read."""

import inspect
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kit.adapters._lender import Lender
from kit.config import PRETRAINING, Config, Modelling, Scoring, Training, part, read
from kit.errors import ConfigError, KitError, bullets, did_you_mean
from kit.folds import GROUPING, SCHEMES
from kit.hearing import Hearing, divided
from kit.machine import cores
from kit.registry import check_options, filled, find, find_model, installed, names, needed, options, own_module, takes_of
from kit.scoring import Metric
from kit.transforms import Augment

_VOTING = ("votes", "vote_power", "vote_share")  # keys of [search] where the answer is a class; the others are for lists of neighbours
_MORE_THAN_SEEN = 1.25  # decoded pictures are kept larger than the network sees them, so that crops of them lose nothing


@dataclass(frozen=True)
class Competition:
    """
    name     the folder's name, and the competition's
    folder   where config.toml is
    home     ./competitions/NAME of the current folder, where data, samples and runs are looked for and written
    config   resolved: presets and overrides laid over it
    adapter  the class that reads its files
    asked    the preset and the overrides, as they were given
    """

    name: str
    folder: Path
    home: Path
    config: Config
    adapter: type
    asked: tuple[str, ...] = ()

    def task(self) -> Any:
        name = self.config.output["task"]
        given = {k: v for k, v in self.config.output.items() if k != "task"}
        if name == "regression" and not given.get("transform"):
            given["transform"] = self.metric().space or "none"
        return find("tasks", name, self.folder)(**given)

    def metric(self) -> Metric:
        """With its options; whether x2 and y2 are a box's last pixel is what [output] says, unless [score] says otherwise."""
        name, given = part(self.config.score["metric"])
        known, output = options(find("metrics", name, self.folder)), options(find("tasks", self.config.output["task"], self.folder))
        if "inclusive" in known and "inclusive" in output:
            given = {"inclusive": self.config.output.get("inclusive", output["inclusive"].default), **given}
        return Metric.open(name, given, self.folder)

    def folds(self) -> tuple[str, dict[str, Any]]:
        """The fold scheme and its options."""
        return part(self.config.score.get("folds", "kfold"), "scheme")

    def model(self) -> tuple[str, Any, dict[str, Any]]:
        """("estimators" or "zoo", the part, its options)."""
        kind, found = find_model(self.config.model["name"], self.folder)
        return kind, found, {k: v for k, v in self.config.model.items() if k in options(found)}

    def takes(self) -> tuple[str, ...]:
        """The column kinds that the model takes as they are."""
        _, model, given = self.model()
        return takes_of(model, given)

    def columns_from(self) -> Path | None:
        """The file of weights whose network makes columns for the model; None without one, and where the model itself starts from it."""
        weights = self.config.model.get("weights", "none")
        return Path(weights) if weights != "none" and _shared(self.model()[1]) else None

    def pretraining(self) -> tuple[str, dict[str, Any]]:
        """The method of learning without labels, and all its options. Raises ConfigError for what does not go with it, or with the model."""
        method, given = part(self.config.pretrain, "method")
        takes = self.takes()
        usual = {"image": "simclr", "text": "masked", "audio": "masked"}
        method = method or (usual[takes[0]] if len(takes) == 1 else "denoising")
        problems = check_options(PRETRAINING[method], given, "pretrain")
        if problems:
            problems.append(f'in method "{method}"; pretrain.method names another: {" or ".join(PRETRAINING)}')
        elif method == "simclr" and takes != ("image",):
            problems.append(f'pretrain.method = "simclr" compares pictures, and model "{self.config.model["name"]}" does not look at them alone\nname one that does: model.name=timm')
        elif method == "masked" and takes not in (("text",), ("audio",)):
            problems.append(f'pretrain.method = "masked" hides parts of texts or sounds, and model "{self.config.model["name"]}" does not learn from one of them alone\nname one that does: model.name=transformer or spectrogram')
        if problems:
            raise ConfigError(bullets(problems))
        return method, filled(PRETRAINING[method], given)

    def loss(self) -> tuple[str, dict[str, Any]]:
        """The config's loss, else the metric's, else the task's."""
        name, given = part(self.config.train.get("loss", ""))
        return name or self.metric().loss or find("tasks", self.config.output["task"], self.folder).loss, given

    def data(self, replaced: Path | None, sample: bool) -> Path:
        """The folder of the data files. Raises KitError, saying how to get them, if there is none."""
        if sample and replaced is not None:
            raise KitError(f"--data {replaced} and --sample name two folders of data: give one of them")
        if sample:
            return self.home / "sample"
        if replaced is not None:
            if not replaced.is_dir():
                raise KitError(f"--data {replaced}: no such folder")
            return replaced
        if self.config.input.get("data"):
            return Path(self.config.input["data"]).expanduser()
        for folder in (self.home / "data", self.folder / "data"):
            if folder.is_dir() and any(folder.iterdir()):
                return folder
        slug = self.config.kaggle
        where = f"https://www.kaggle.com/c/{slug}/data" if slug else "wherever they come from"
        fetch = f"fetch them: kit data {self.name}; or " if slug else ""
        raise KitError(
            f"no data for {self.name}: {self.home / 'data'} is missing or empty\n"
            f"{fetch}put the files from {where} there, name their folder with --data DIR, or try it on made data: kit train {self.name} --sample"
        )

    def open_adapter(self, data: Path) -> Any:
        """Raises ConfigError for options that do not go together; no file is looked for yet, nor that of a competition that lends its labels."""
        given = {k: v for k, v in self.config.input.items() if k not in ("adapter", "data")}
        adapter = self.adapter(data, self.task(), **given)
        if hasattr(adapter, "cache"):  # of an adapter whose reading is worth keeping
            adapter.cache = self.home / "cache"
        if named := given.get("labels_from"):
            other = _lender(locate(named))
            slug = other.config.kaggle or other.name
            adapter.lender = Lender(other.name, slug, lambda folder: other.open_adapter(folder or self._labels_data(other, slug, data)))
        return adapter

    def _labels_data(self, other: "Competition", slug: str, data: Path) -> Path:
        """The folder of the other competition's files. Raises KitError, saying where it was looked for, if there is none."""
        if told := self.config.input.get("labels_data"):
            if not Path(told).expanduser().is_dir():
                raise KitError(f"input.labels_data = {told}: no such folder")
            return Path(told).expanduser()
        beside = data.parent if data.name else data.absolute().parent
        tried = list(dict.fromkeys(root / name for root in (data, beside) for name in (slug, other.name)))
        for folder in tried:
            if folder.is_dir():
                return folder
        try:
            return other.data(None, False)
        except KitError as error:
            raise KitError(f"{error}\n{self.name} learns from its labels: they may also be in {' or '.join(map(str, tried))}, or where input.labels_data says") from error


def shipped(kind: str) -> Path:
    """The folder of the competitions or templates that travel with kit: in its wheel, or beside it in a checkout."""
    inside = Path(__file__).parent / "shipped" / kind
    return inside if inside.is_dir() else Path(__file__).parent.parent / kind


def listed(kind: str) -> dict[str, Path]:
    """Name -> folder: those of the current folder, then those that ship."""
    found = {}
    for root in (shipped(kind), Path(kind)):
        found |= {p.parent.name: p.parent for p in sorted(root.glob("*/config.toml")) if not p.parent.name.startswith(".")}
    return dict(sorted(found.items()))


def title(folder: Path) -> str:
    """What config.toml says it is; the whole config need not be right."""
    try:
        return str(tomllib.loads((folder / "config.toml").read_text(encoding="utf-8-sig")).get("title", ""))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return f"(config.toml is not TOML: {error})"


def locate(path_or_name: str) -> Path:
    """The folder of a competition given as a path, or as a name: ./competitions/NAME first, then the one that ships."""
    given = Path(path_or_name)
    if (given / "config.toml").is_file():
        return given
    if given.name == path_or_name or path_or_name.rstrip("/") in (f"competitions/{given.name}", f"templates/{given.name}"):
        for root in (Path("competitions"), shipped("competitions"), shipped("templates") if path_or_name.startswith("templates") else shipped("competitions")):
            if (root / given.name / "config.toml").is_file():
                return root / given.name
    known = listed("competitions")
    raise KitError(f'no competition "{path_or_name}"{did_you_mean(given.name, known)}\n`kit new {given.name}` makes one, `kit list competitions` shows what there is')


def open_competition(path_or_name: str, *, preset: str | None = None, overrides: list[str] | None = None) -> Competition:
    """The competition, its whole config checked. Raises ConfigError with every mistake at once."""
    folder = locate(path_or_name)
    config = read(folder / "config.toml", preset=preset, overrides=overrides or [])
    asked = ([f"--preset {preset}"] if preset else []) + list(overrides or [])
    return replace(checked(config, folder), asked=tuple(asked))


def checked(config: Config, folder: Path, *, stand_in: bool = False) -> Competition:
    """The competition of a config, or ConfigError with every mistake in it.

    stand_in  whether its model is none to be trained, so that it need not serve the task
    """
    name = folder.resolve().name
    home = Path("competitions") / name
    problems = [f"{section}.{key} is missing" for section, key in (("output", "target"), ("output", "task"), ("score", "metric"), ("model", "name")) if not getattr(config, section).get(key)]
    named = {f"{section}.{key}": getattr(config, section).get(key, "") for section, key in (("input", "adapter"), ("output", "task"), ("model", "name"))}
    wrong = [f"{where} must be text, not {value!r}" for where, value in named.items() if not isinstance(value, str)]
    wrong += [f"encoders.{kind} must be a table, not {given!r}" for kind, given in config.encoders.items() if not isinstance(given, dict)]
    if wrong:  # what is no name cannot be looked up
        raise ConfigError(bullets([*problems, *wrong]) + f"\nin {folder / 'config.toml'} and what was laid over it")
    adapter = _looked_up(problems, "input.adapter", lambda: _adapter_class(config, folder))
    if adapter is not None:
        problems += check_options(adapter, {k: v for k, v in config.input.items() if k not in ("adapter", "data")}, "input")
        problems += _lender_problems(config.input.get("labels_from"), folder)
    task = _looked_up(problems, "output.task", lambda: find("tasks", config.output["task"], folder)) if config.output.get("task") else None
    if task is not None:
        problems += check_options(task, {k: v for k, v in config.output.items() if k != "task"}, "output")
        problems += check_options(task.fit_post, config.post, "post")
    problems += check_options(Scoring, config.score, "score")
    metric = _checked_part(problems, "score.metric", config.score.get("metric"), lambda n: find("metrics", n, folder))
    scheme, given = part(config.score.get("folds", "kfold"), "scheme")
    if scheme not in SCHEMES:
        problems.append(f'score.folds.scheme = "{scheme}" is no fold scheme{did_you_mean(scheme, SCHEMES)}')
    else:
        problems += check_options(SCHEMES[scheme], given, "score.folds")
    problems += _model_problems(config, folder)
    problems += [] if stand_in else _service_problems(config, task, folder)
    for kind, given in config.encoders.items():
        if kind not in names("encoders"):
            problems.append(f'encoders.{kind}: no encoder for a column kind "{kind}"{did_you_mean(kind, names("encoders"))}')
        else:
            problems += check_options(find("encoders", kind), given, f"encoders.{kind}")
    seen, heard = divided(config.augment)
    problems += check_options(Augment, seen, "augment")
    problems += check_options(Hearing, heard, "augment.audio") if isinstance(heard, dict) else [f"augment.audio must be a table, not {heard!r}"]
    problems += _search_problems(config, task)
    problems += _pretraining_problems(config)
    if not problems and metric is not None:
        try:
            opened = Competition(name, folder, home, config, adapter)
            opened.metric().needs(task.gives)
            weighs = "weights" in inspect.signature(metric.score).parameters and hasattr(task, "expect")
            if config.score.get("prior") and not weighs:
                raise ConfigError(f'score.prior: it needs a task of classes and a metric that weighs rows, not "{config.score["metric"]}"')
            if config.score.get("exact") and not config.score.get("prior"):
                raise ConfigError('score.exact = true: the counts of which classes?\nset score.prior to "uniform", or to a share for each class')
            if config.score.get("weight") and "weights" not in inspect.signature(metric.score).parameters:
                raise ConfigError(f'score.weight: metric "{config.score["metric"]}" takes no row weights')
            opened.task()
        except KitError as error:
            problems.append(str(error))
        problems += _fold_problems(config, adapter)
    if problems:
        said = [p for p in problems if p.removesuffix(": it has no default") not in problems or not p.endswith(": it has no default")]
        raise ConfigError(bullets(said) + f"\nin {folder / 'config.toml'} and what was laid over it")
    return Competition(name, folder, home, config, adapter)


def _adapter_class(config: Config, folder: Path) -> type:
    """The competition's own adapter.py where there is one, else the named adapter."""
    base = find("adapters", config.input.get("adapter", "tabular"), folder)
    if not (folder / "adapter.py").is_file() or config.input.get("adapter", "").startswith("./"):
        return base
    module = own_module(folder, "adapter")
    found = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__]
    if len(found) != 1:
        raise ConfigError(f"{folder / 'adapter.py'} must define one class, and defines {len(found)}")
    return found[0]


def _lender(folder: Path) -> Competition:
    """The competition of a folder for its rows and labels alone: the simplest model stands in the place of its own, whose libraries may be missing."""
    config = read(folder / "config.toml")
    return checked(replace(config, model={"name": "constant"}, train={}, encoders={}, augment={}, search={}, post={}, pretrain={}), folder, stand_in=True)


def _lender_problems(named: Any, folder: Path) -> list[str]:
    """The other competition is only looked for: its code is run where it is opened."""
    if not named or not isinstance(named, str):
        return []
    problems: list[str] = []
    found = _looked_up(problems, "input.labels_from", lambda: locate(named))
    if found is not None and found.resolve() == folder.resolve():
        problems.append(f'input.labels_from = "{named}" is this competition itself: its own labels need no word')
    return problems


def _looked_up(problems: list[str], where: str, look: Any) -> Any:
    try:
        return look()
    except KitError as error:
        problems.append(f"{where}: {error}")
        return None


def _checked_part(problems: list[str], where: str, value: Any, look: Any) -> Any:
    if not value:
        return None
    name, given = part(value)
    found = _looked_up(problems, where, lambda: look(name))
    if found is not None:
        problems += check_options(found, given, where)
    return found


def _model_problems(config: Config, folder: Path) -> list[str]:
    problems: list[str] = []
    name = config.model.get("name")
    if not name:
        return []
    found = _looked_up(problems, "model.name", lambda: find_model(name, folder))
    if found is None:
        return problems
    kind, model = found
    shared = {k: v for k, v in config.model.items() if k in _shared(model)}
    problems += check_options(Modelling, shared, "model")
    problems += check_options(model, {k: v for k, v in config.model.items() if k not in ("name", *shared)}, "model")
    loop = _looked_up(problems, "model.name", lambda: find("estimators", "neural")) if kind == "zoo" else None
    known = {**options(Training), **(options(loop) if loop is not None else {})}
    mine = {k: v for k, v in config.train.items() if k in options(Training)}
    problems += check_options(Training, mine, "train")
    if mine.get("final") == "further" and loop is None:
        problems.append(f'train.final = "further": model "{name}" has no epochs to go on with\nset it to "refit"')
    means = [key for key in ("means", "mean_above") if isinstance(config.encoders.get("category"), dict) and config.encoders["category"].get(key)]
    if mine.get("final") == "further" and means:
        problems.append(f'train.final = "further": encoders.category.{means[0]} tells rows the mean of their own answers once the fold is over\nset train.final to "refit"')
    others = {k: v for k, v in config.train.items() if k not in mine}
    if loop is not None:
        problems += check_options(loop, others, "train")
    else:
        for key in others:
            hint = did_you_mean(key, known)
            problems.append(f'train.{key} is not an option of model "{name}", which is no network{hint}')
    return problems


def _service_problems(config: Config, task: Any, folder: Path) -> list[str]:
    """Some models serve certain tasks alone, and some tasks are served by such models alone."""
    name, asked = config.model.get("name"), config.output.get("task")
    found = _looked_up([], "model.name", lambda: find_model(name, folder)) if name and task is not None else None
    serves = getattr(found[1], "tasks", ()) if found else ()
    if not found or asked in serves or not (serves or getattr(task, "own_models", False)):
        return []
    if serves:
        return [f'model.name = "{name}" serves output.task = {" or ".join(serves)}, and the task is "{asked}"']
    serving = " or ".join(_serving(asked)) or "one of your own"
    return [f'model.name = "{name}" does not serve output.task = "{asked}"\nname one that does: {serving}']


def _serving(task: str) -> list[str]:
    """The models that name this task, of those whose libraries are installed."""
    known = [name for kind in ("estimators", "zoo") for name in installed(kind) if name != "neural"]
    return [name for name in known if task in getattr(find_model(name)[1], "tasks", ())]


def _searching(config: Config, task: Any) -> bool:
    """Whether neighbours are searched: the answer is a row of the gallery, or a class that may be none of the known."""
    return getattr(task, "searches", False) or bool(config.output.get("open_set"))


def _fold_problems(config: Config, adapter: type) -> list[str]:
    """What must not stand on both sides of a fold, and does by the config's scheme."""
    scheme, given = part(config.score.get("folds", "kfold"), "scheme")
    found = adapter.fold_problems(config.input, scheme, given)
    if config.score.get("alike") and scheme not in GROUPING:
        found.append(f'score.alike makes groups, which score.folds.scheme = "{scheme}" does not look at\nname one that does: {" or ".join(GROUPING)}')
    return found


def _search_problems(config: Config, task: Any) -> list[str]:
    if not config.search:
        return []
    if task is None or not _searching(config, task):
        return ['[search] goes with output.task = "retrieval", or with output.open_set = true: elsewhere nothing is searched\ntake it out']
    search = needed("kit.searching", "[search]").Search
    problems = check_options(search, config.search, "search")
    lists = getattr(task, "searches", False)
    for key, value in config.search.items() if not problems else ():
        if (key in _VOTING) == lists and value != options(search)[key].default:  # a run's own config has all keys
            problems.append(f'search.{key} does nothing here: {"a gallery is searched, and nothing votes" if lists else "neighbours vote for classes, and no list of them is answered"}\ntake it out; keys that do: {", ".join(k for k in options(search) if (k in _VOTING) != lists)}')
    if not problems:
        try:
            search(**config.search)
        except ConfigError as error:
            problems.append(str(error))
    return problems


def _shared(model: Any) -> dict[str, Any]:
    """The keys of [model] that are not the model's own affair, with their defaults: one for pictures starts from weights itself."""
    own = options(model)
    return {} if getattr(model, "takes", ()) else {k: o.default for k, o in options(Modelling).items() if k not in own}


def _pretraining_problems(config: Config) -> list[str]:
    """Where no method is named, keys of each will do: which it is depends on the model, and most commands do not ask."""
    method, given = part(config.pretrain, "method")
    if method and method not in PRETRAINING:
        return [f'pretrain.method = "{method}" is no method{did_you_mean(method, PRETRAINING)}']
    schema_of = {key: schema for name, schema in PRETRAINING.items() if method in ("", name) for key in options(schema)}
    problems = [f"pretrain.{key} is not an option here{did_you_mean(key, schema_of)}" for key in given if key not in schema_of]
    return problems + [p for k, v in given.items() if k in schema_of for p in check_options(schema_of[k], {k: v}, "pretrain")]


def resolved(competition: Competition) -> Config:
    """The config with every default filled in, and what depends on the machine measured and frozen: two of it give the same run."""
    config = competition.config
    kind, model, given = competition.model()
    scheme, fold_options = competition.folds()
    metric = competition.metric()
    loss, loss_options = competition.loss()
    training = {k: v for k, v in filled(Training, config.train).items() if k != "loss"}
    training["threads"] = training["threads"] or cores()
    training["final"] = training["final"] or ("refit" if scheme in ("time", "group_time") else "folds")
    training["loss"] = {"name": loss, **loss_options}
    if kind == "zoo":
        training |= {k: v for k, v in filled(find("estimators", "neural"), config.train).items() if k not in training}
    augment: dict[str, Any] = {}
    seen, heard = divided(config.augment)
    encoders = config.encoders
    takes = competition.takes()
    if "image" in takes:
        augment = filled(Augment, seen)
        kept = round(_MORE_THAN_SEEN * augment["size"])
        encoders = {**encoders, "image": {**encoders.get("image", {}), "size": encoders.get("image", {}).get("size", 0) or kept}}
    if "audio" in takes:
        augment["audio"] = filled(Hearing, heard)
    task = find("tasks", config.output["task"], competition.folder)
    search = filled(needed("kit.searching", f'output.task = "{config.output["task"]}"').Search, config.search) if _searching(config, task) else {}
    output = {"task": config.output["task"], **filled(task, {k: v for k, v in config.output.items() if k != "task"})}
    if "transform" in output:
        output["transform"] = competition.task().transform
    return Config(
        title=config.title,
        kaggle=config.kaggle,
        input={"adapter": config.input.get("adapter", "tabular"), **filled(competition.adapter, {k: v for k, v in config.input.items() if k not in ("adapter", "data")})},
        output=output,
        score={
            "metric": {"name": metric.name, **filled(metric.module, metric.options)},
            "folds": {"scheme": scheme, **filled(SCHEMES[scheme], fold_options)},
            "weight": config.score.get("weight", ""),
            "prior": config.score.get("prior", ""),
            "exact": config.score.get("exact", False),
            "alike": config.score.get("alike", 0.0),
        },
        model={"name": config.model["name"], **filled(model, given), **{k: config.model.get(k, v) for k, v in _shared(model).items()}},
        train=training,
        encoders=encoders,
        augment=augment,
        search=search,
        post=config.post,
    )
