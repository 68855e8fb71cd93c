"""The score: its interval, its folds, what it brings over the constant, and how it stands beside the other runs of the competition."""

from kit import runs
from kit.reporting.cards import Card
from kit.reporting.charts import Row, rows_chart
from kit.reporting.markup import Html, clean, el, joined, megabytes, number, seconds, signed
from kit.reporting.seen import Seen
from kit.runs import Run

_FOLDS, _RUNS = 30, 14  # rows of a chart, at most
_FAR = 12.0  # widths of the folds' scores, beyond which the constant would make them one point


def headline(seen: Seen) -> Html:
    info, sign = seen.run.info, seen.sign
    better = "higher is better" if info["greater_is_better"] else "lower is better"
    if not seen.scored:
        return el("div", el("p", f"{info['metric']}, {better}", class_="eyebrow"), el("p", "unscored", class_="score"), el("p", "there are no labels"), class_="head")
    score = info["score"]
    spread = "" if score["standard_error"] is None else el("span", f" ± {number(score['standard_error'], 2)}", class_="spread")
    lines = [el("p", f"{info['metric']} out of fold, {better}", class_="eyebrow"), el("p", number(score["mean"]), spread, class_="score")]
    bounds, whose = (info["honest"]["interval"], "if other rows were drawn") if "interval" in info.get("honest", {}) else (score["interval"], f"over {len(score['folds'])} folds")
    if bounds is not None:
        lines.append(el("p", f"95 % interval {number(bounds[0])} to {number(bounds[1])}, {whose}"))
    if info["covered"] < info.get("validated", info["covered"]):  # earlier versions did not say how many
        lines.append(el("p", f"of {number(info['covered'])} of {number(info['validated'])} validated rows: a part of the folds", class_="warn"))
    if info.get("constant") is not None:
        gain = sign * (score["mean"] - info["constant"])
        lines.append(el("p", el("strong", signed(gain), class_="good" if gain > 0 else "bad"), f" over the constant, which scores {number(info['constant'])}"))
    return el("div", joined(lines), class_="head")


def tiles(seen: Seen) -> Html:
    info, rest = seen.run.info, siblings(seen)
    told: list[tuple[str, str, str]] = []
    if seen.scored and rest:
        better = sum(seen.sign * (r.info["score"]["mean"] - info["score"]["mean"]) > 0 for r in rest)
        told.append(("place", f"{better + 1} of {len(rest) + 1}", "runs with this metric"))
    told.append(("training rows", number(info["rows"]), ""))
    if info.get("search"):
        told.append(("search", signed(info["search"][list(info["search"])[-1]] - info["search"]["plain"], 3), f"by {', '.join(list(info['search'])[1:])}"))
    told.append(("time", seconds(info["seconds"]), ""))
    if "peak_memory_mb" in info:
        told.append(("memory at its peak", megabytes(info["peak_memory_mb"]), ""))
    return el("dl", *(el("div", el("dt", name), el("dd", value, el("small", more) if more else "")) for name, value, more in told), class_="tiles")


def siblings(seen: Seen) -> list[Run]:
    """Other finished and scored runs of the competition by the same metric that cover all their rows."""
    found = []
    for run in runs.listed(seen.run.folder.parent):
        info = run.info
        if run.name != seen.run.name and info["state"] == "finished" and isinstance(info["score"], dict) and info["metric"] == seen.run.info["metric"]:
            found += [run] if info["covered"] == info.get("validated", info["covered"]) else []
    return found


def by_fold(seen: Seen) -> Card | None:
    info = seen.run.info
    scores = info["score"]["folds"]
    if len(scores) < 2:
        return None
    low, high = min(scores), max(scores)
    mean, constant = info["score"]["mean"], info.get("constant")
    near = constant is not None and abs(constant - mean) <= _FAR * max(high - low, 1e-12)
    names = [f"fold {n}" for n in range(len(scores))]
    rows = [Row(name, value) for name, value in list(zip(names, scores))[:_FOLDS]]
    references = [(mean, "reference mean"), *([(constant, "reference")] if near else [])]
    told = f"the line is their mean{', the dashed one the constant' if near else ''}"
    return Card("Score by fold", rows_chart(rows, info["metric"], "score of each fold", references=references), told + (f"; the first {_FOLDS} of {len(scores)}" if len(scores) > _FOLDS else ""))


def beside(seen: Seen) -> Card | None:
    rest = siblings(seen)
    if not rest:
        return None
    everyone = sorted([seen.run, *rest], key=lambda r: -seen.sign * r.info["score"]["mean"])
    place = everyone.index(seen.run)
    shown = everyone[:_RUNS] if place < _RUNS else [*everyone[: _RUNS - 1], seen.run]
    rows = []
    for run in shown:
        score = run.info["score"]
        reach = score["standard_error"] or 0.0
        told = f"{run.name}: {number(score['mean'])} {' '.join(map(str, run.info.get('asked', [])))}"
        rows.append(Row(run.name, score["mean"], score["mean"] - reach, score["mean"] + reach, run is seen.run, clean(told, 200)))
    note = f"the best {len(shown)} of {len(everyone)}; " if len(everyone) > len(shown) else ""
    return Card("Beside other runs", rows_chart(rows, seen.run.info["metric"], "scores of this run and of others"), f"{note}± one standard error; kit runs says which differences are noise")
