"""Makes a competition folder: a recipe or a template copied whole, or a config inferred from data files.

The folder appears whole or not at all: it is built beside its place and renamed. One that is there already is left as it is.
"""

import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import tomli_w

from kit.apart import apart
from kit.competition import checked, listed, shipped
from kit.config import Config, read
from kit.discover import Finding, one_line
from kit.errors import KitError, did_you_mean
from kit.files import write_text
from kit.infer import infer
from kit.layouts import pictured

LEFT = ("sample", "runs", "__pycache__", ".*")  # of a copied folder
MOST_DATA = 20 << 20  # bytes of data/ that a copied recipe brings along
QUESTIONS = {
    "input": "what is the input?",
    "output": "what is the output?",
    "score": "how is it judged?",
    "model": "how much prior?",
    "augment": "what may change in a picture or a sound without changing its answer?",
}


def make(name: str, data: Path | None, template: str | None, overrides: list[str], says: Any) -> Path:
    """./competitions/NAME, new. Raises KitError if it exists, if the name is no folder's, or if there is nothing to make it from."""
    target = Path("competitions") / _checked_name(name)
    if os.path.lexists(target):
        raise KitError(f"{target} is there already, and was left as it is\nchoose another name, or remove it first")
    source = _source(name, data, template)
    if source is None:
        assert data is not None
        config, presets, comments = _inferred(name, data, overrides, says)
        checked(config, target)
        text = _text(config.as_dict() | presets, comments)
        with _appearing(target) as folder:
            write_text(folder / "config.toml", text)
        return target
    original = (source / "config.toml").read_text(encoding="utf-8")
    extra = [] if data is None else [f"input.data={tomli_w.dumps({'v': str(_folder(data))})[4:].strip()}"]
    wanted = read(source / "config.toml", overrides=[*overrides, *extra])
    if not any(source.glob("*.py")):  # checking a part means importing it, and making a folder runs no code
        checked(wanted, source)
    says.progress(f"copied   {source}")
    with _appearing(target) as folder:
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns(*LEFT, *_heavy(source)), symlinks=True, dirs_exist_ok=True)
        if overrides or extra:
            presets = {k: v for k, v in tomllib.loads(original).items() if k == "preset"}
            write_text(folder / "config.toml", _edited(original, wanted.as_dict() | presets))
    return target


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        last = re.sub(r"[^\w.-]+", "-", Path(name).name).strip(".-")
        hint = f", such as {last}" if last else ""
        raise KitError(f'"{one_line(name)}" cannot be a competition\'s name\nexpected one word of letters, digits, "_", "-" and "."{hint}')
    return name


def _source(name: str, data: Path | None, template: str | None) -> Path | None:
    """The folder to copy; None if the config is to be inferred."""
    templates = listed("templates")
    if template is not None:
        if template not in templates:
            raise KitError(f'no template "{template}"{did_you_mean(template, templates)}\n`kit list templates` shows what there is')
        return templates[template]
    if data is not None:
        return None
    recipe = shipped("competitions") / name
    if (recipe / "config.toml").is_file():
        return recipe
    known = [p.parent.name for p in shipped("competitions").glob("*/config.toml")]
    raise KitError(
        f'no recipe "{name}"{did_you_mean(name, known)}\n'
        f"infer a config from its data files: kit new {name} --from DATA_DIR\n"
        f"or start from a template ({', '.join(templates)}): kit new {name} --template {next(iter(templates), 'tabular')}"
    )


def _folder(data: Path) -> Path:
    if not data.is_dir():
        raise KitError(f"--from {data}: no such folder" if not data.exists() else f"--from {data} is a file: name the folder that it is in")
    return data.expanduser().resolve()


def _heavy(source: Path) -> list[str]:
    """data/ where it is more than a recipe should bring along."""
    size = sum(p.stat().st_size for p in (source / "data").rglob("*") if p.is_file())
    return ["data"] if size > MOST_DATA else []


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its place if the block ends well, else vanishes."""
    made_parent = not target.parent.exists()
    building = None
    try:
        target.parent.mkdir(exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        yield building
        building.chmod(0o755)
        os.rename(building, target)
    except OSError as error:
        raise KitError(f"cannot make {target}: {error.strerror or error}\nis the current folder writable, and is there room?") from error
    finally:
        if building is not None and building.exists():
            shutil.rmtree(building)
        if made_parent and target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()


# --- a config from data ----------------------------------------------------------------------------------------------------------


def _inferred(name: str, data: Path, overrides: list[str], says: Any) -> tuple[Config, dict[str, Any], dict[str, str]]:
    """The config that the files suggest with the overrides laid over it, its presets, and a comment for some of its keys."""
    folder = _folder(data)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "config.toml"
        draft.write_text("")
        given = read(draft, overrides=overrides)
        found = pictured(folder, given) or infer(folder, given)
        if "folds" not in found.score and found.input.get("train", True):  # without labels nothing is parted
            apart(found, given)
        for finding in found.findings:
            says.progress(str(finding))
        values = Config(
            title=name,
            input={"adapter": found.input.pop("adapter", "tabular"), "data": str(folder), **found.input},
            output=found.output,
            score=found.score,
            model=found.model,
            train=found.training,
            encoders=found.encoders,
            augment=found.augment,
        )
        values.write(draft)
        config = read(draft, overrides=overrides)
    return config, {"preset": found.preset} if found.preset else {}, _comments(found.findings)


def _comments(findings: list[Finding]) -> dict[str, str]:
    """Key -> evidence, for the keys that one finding speaks of; several are listed together."""
    comments: dict[str, str] = {}
    for finding in findings:
        if finding.key and finding.evidence != "as given":
            said = (
                f"{finding.topic} {finding.claim}: {finding.evidence}"
                if finding.key in ("input.columns", "input.drop")
                else finding.evidence
            )
            line = ("guess: " if finding.guess else "") + one_line(said)
            comments[finding.key] = f"{comments[finding.key]}\n{line}" if finding.key in comments else line
    return comments


def _text(values: dict[str, Any], comments: dict[str, str]) -> str:
    """config.toml: a line a key, the evidence above it."""
    lines = [f"{key} = {_toml(values[key])}" for key in ("title", "kaggle") if key in values]
    for section, held in values.items():
        if not isinstance(held, dict):
            continue
        nested = section in ("encoders", "preset")
        inner = {k: v for k, v in held.items() if not (nested and isinstance(v, dict))}
        if inner or not nested:
            lines += ["", f"[{section}]" + (f"  # {QUESTIONS[section]}" if section in QUESTIONS else "")]
        for key, value in inner.items():
            lines += [f"# {line}" for line in comments.get(f"{section}.{key}", "").split("\n") if line]
            lines.append(f"{_key(key)} = {_toml(value)}")
        for name in held.keys() - inner.keys():
            lines += ["", f"[{section}.{_key(name)}]"]
            for key, value in held[name].items():
                lines += [f"# {line}" for line in comments.get(f"{section}.{name}.{key}", "").split("\n") if line]
                lines.append(f"{_key(key)} = {_toml(value)}")
    text = "\n".join(lines) + "\n"
    assert tomllib.loads(text) == values, "what is written must read as what was meant"
    return text


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)


def _toml(value: Any) -> str:
    """One line of TOML."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").strip()


def _edited(text: str, wanted: dict[str, Any]) -> str:
    """The config with other values and its own comments; without them where a line cannot be told apart safely."""
    section, lines, left = "", [], {s: dict(v) for s, v in wanted.items() if isinstance(v, dict)}
    for line in text.split("\n"):
        header = re.match(r"\[([\w.-]+)\]", line)
        key = re.match(r"([\w-]+)(\s*)=\s*", line)
        if header:
            section = header[1]
        if key and section in left and key[1] in left[section]:
            value = left[section].pop(key[1])
            try:
                same = tomllib.loads(line)[key[1]] == value
            except tomllib.TOMLDecodeError:  # a value over several lines: kept, and compared below
                same = True
            line = line if same else f"{key[1]}{key[2]}= {_toml(value)}"
        lines.append(line)
        if header and section in left:
            current = tomllib.loads(text).get(section, {})
            lines += [f"{_key(k)} = {_toml(left[section].pop(k))}" for k in [k for k in left[section] if k not in current]]
    edited = "\n".join(lines)
    with suppress(tomllib.TOMLDecodeError):
        if tomllib.loads(edited) == wanted:
            return edited
    presets = "\n" + tomli_w.dumps({"preset": wanted["preset"]}) if "preset" in wanted else ""
    return _text({k: v for k, v in wanted.items() if k != "preset"}, {}) + presets
