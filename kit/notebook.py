"""The notebook of a bundle: it finds the bundle and the data, installs what is missing, checks all versions at once, predicts.

What its cells need to know stands in bundle.json beside it, so that the cells are the same for every run.
"""

import json
from pathlib import Path
from typing import Any

INPUT = "KIT_INPUT"  # environment variable that names another folder than Kaggle's of attached files

_FIND = """\
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

INPUT = Path(os.environ.get("{input}", "/kaggle/input"))
found = [p for deep in ("*", "*/*", "*/*/*") for p in sorted(INPUT.glob(f"{{deep}}/bundle.json")) if json.loads(p.read_text()).get("bundle") == {bundle!r}]
if not found:
    raise SystemExit("the bundle {bundle} is not attached: upload its folder as a dataset, and add that to this notebook")
BUNDLE = found[0].parent
TOLD = json.loads(found[0].read_text())
places = [INPUT / TOLD["slug"], INPUT / "competitions" / TOLD["slug"]]
if not any(p.is_dir() for p in places):
    raise SystemExit(f"the competition's data are not attached: expected {{' or '.join(map(str, places))}}")
DATA = next(p for p in places if p.is_dir())
"""

_INSTALL = """\
def lacking():
    \"\"\"What is missing, or is of a version that will not do, in words.\"\"\"
    importlib.invalidate_caches()
    told = {}
    for name, wanted in TOLD["needs"].items():
        try:
            here = metadata.version(name)
        except metadata.PackageNotFoundError:
            told[name] = f"{name}{wanted}: missing"
            continue
        for sign, text in re.findall(r"(==|>=|<)([0-9.]+)", wanted):
            a, b = ([int(n) for n in re.findall(r"[0-9]+", v)] for v in (here, text))
            a, b = (v[:4] + [0] * (4 - len(v)) for v in (a, b))
            if not {"==": a == b, ">=": a >= b, "<": a < b}[sign]:
                told[name] = f"{name}{wanted}: {here} is here"
    return told


WHEELS = BUNDLE / "wheels"
brought = {re.sub(r"[-_.]+", "-", p.name.split("-")[0]).lower() for p in WHEELS.glob("*.whl")}
for name in sorted(set(lacking()) & brought):  # one by one: a wheel for another Python must not keep the others out
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--find-links", str(WHEELS), name + TOLD["needs"][name]])
told = list(lacking().values())
if sys.version_info < tuple(TOLD["python"]):
    told.insert(0, f"Python {'.'.join(map(str, TOLD['python']))} or later: {sys.version.split()[0]} is here")
if told:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise SystemExit("\\n".join(["this machine lacks", *told, f"add their wheels where there is a network: kit bundle RUN --wheels {here}"]))
print("kit", metadata.version("competition-kit"), "and all that it needs are here")
"""

_PREDICT = """\
ROOM = Path(tempfile.mkdtemp(prefix="kit-"))  # attached files cannot be written to: kit writes beside links to them
for path in (BUNDLE / "competitions").rglob("*"):
    if path.is_file():
        place = ROOM / path.relative_to(BUNDLE)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(path)
command = [sys.executable, "-m", "kit", "predict", TOLD["run"], "--data", str(DATA), "--tolerant"]
done = subprocess.run(command, cwd=ROOM, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True)
print(done.stdout + done.stderr)
if done.returncode:
    raise SystemExit(f"kit predict ended with {done.returncode}")
shutil.copyfile(ROOM / done.stdout.splitlines()[-1], "submission.csv")
"""


def cells(title: str, bundle: str) -> list[tuple[str, str]]:
    """(kind, text) of each cell, in order.

    bundle  the word that tells this bundle from others that may be attached too
    """
    about = (
        f"# {title}\n\nMade by `kit bundle`. Attach two things: the competition's data, and the bundle's folder as a dataset. "
        "Internet may be off. `submission.csv` is written into the working folder."
    )
    return [("markdown", about), ("code", _FIND.format(input=INPUT, bundle=bundle)), ("code", _INSTALL), ("code", _PREDICT)]


def notebook(title: str, bundle: str) -> dict[str, Any]:
    """The notebook as JSON (nbformat 4.5), its cells not run yet."""
    made = []
    for n, (kind, text) in enumerate(cells(title, bundle)):
        cell: dict[str, Any] = {"cell_type": kind, "id": f"kit-{n}", "metadata": {}, "source": text.rstrip("\n").splitlines(keepends=True)}
        made.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    return {"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}


def script(path: Path) -> str:
    """The code cells of a notebook file, one after another, as a program."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return "\n\n".join("".join(cell["source"]) for cell in told["cells"] if cell["cell_type"] == "code") + "\n"
