"""The house keeps its rules: imports go one way, names do not collide, the README tells what is there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from kit import registry
from kit.cli import app

ROOT = Path(__file__).parents[2]
FLOORS = [  # each module imports only from floors before its own, and within its own package
    ["errors"], ["files", "machine"], ["own"], ["registry", "space"], ["config"], ["reading"], ["archives"], ["found"], ["stores", "flat"], ["pictures", "sounds", "events"], ["decoded"], ["album", "clips", "tokens"], ["tables"], ["hearing"], ["predictions"], ["folds"], ["folds_csv"], ["fusing", "masks", "calibration"], ["losses", "metrics", "tasks"],
    ["scoring"], ["combining"], ["stacking"], ["honest"], ["transforms"], ["weights", "mels", "loggers", "folding", "heap"], ["huggingface", "voices"], ["backbones"], ["encoders"], ["zoo"], ["estimators"], ["unlabelled"], ["adapters"], ["competition"], ["alike"], ["divided"], ["shards", "reranking"], ["searching"], ["retrieving", "voting"], ["submission"], ["runs"], ["modelling"], ["pseudo"], ["fitting"], ["reporting"], ["pipeline"], ["predict"],
    ["portfolio", "budget_record", "timed_process"],
    ["blend", "candidates", "cells", "diff", "oddities", "origins", "pick", "unlike", "verify", "blocked", "bundle", "fresh", "hidden", "needs", "notebook", "rehearsal", "wheels", "choosing", "baselines", "budget", "tune", "check", "adversary", "crossing", "duplicates", "leaks", "nearly", "order", "comparing", "pretrain", "report", "apart", "discover", "galleries", "infer", "jointly", "layouts", "media", "new", "fetching", "kaggle", "members", "submitting", "transfer", "unpacking"], ["cli"], ["__main__"],
]  # fmt: skip
FLOOR_OF = {name: n for n, floor in enumerate(FLOORS) for name in floor}
MODULES = sorted(p for p in (ROOT / "kit").rglob("*.py") if p != ROOT / "kit" / "__init__.py")


def _room(path: Path) -> str:
    return path.relative_to(ROOT / "kit").with_suffix("").parts[0]


def _imports(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "kit":
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kit."):
            found.append(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found += [alias.name.split(".")[1] for alias in node.names if alias.name.startswith("kit.")]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    room = _room(path)
    assert room in FLOOR_OF, f"{room} has no floor: give it one in FLOORS"
    beyond = [i for i in _imports(ast.parse(path.read_text(encoding="utf-8"))) if i in FLOOR_OF and FLOOR_OF[i] >= FLOOR_OF[room] and i != room]
    same_floor = [i for i in beyond if FLOOR_OF[i] == FLOOR_OF[room] and room in FLOORS[-3]]  # the last rooms may use one another
    assert not [i for i in beyond if i not in same_floor]


def test_a_file_stays_in_one_process(request):
    """pytest-xdist tells groups by what it adds to a test's id; where that fails, it says nothing, and every fixture of a file is made twice."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("tests are not shared out by group")
    assert request.node.nodeid.endswith("@tests/contracts/test_house.py")


def test_a_model_name_is_one_word_for_one_thing():
    assert not set(registry.names("estimators")) & set(registry.names("zoo"))


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_part_says_in_one_line_what_it_is(kind):
    for name in registry.names(kind):
        line = registry.describe(kind, name)
        assert line, f"{kind}/{name} has no docstring"
        assert 15 < len(line) <= 140, f"{kind}/{name}: {line}"


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_option_of_a_part_has_a_type_and_a_default(kind):
    import inspect

    for name in registry.installed(kind):
        for option in registry.options(registry.find(kind, name)).values():
            assert option.annotation is not inspect.Parameter.empty, f"{kind}/{name}: {option.name}"
            if kind != "tasks":  # a task cannot guess its target
                assert option.default is not inspect.Parameter.empty, f"{kind}/{name}: {option.name}"


def _readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def test_readme_names_every_command():
    commands = typer.main.get_command(app).commands
    missing = [name for name in commands if f"kit {name}" not in _readme()]
    assert not missing


def test_every_command_has_help():
    assert all(command.help for command in typer.main.get_command(app).commands.values())


def test_every_line_of_the_readme_tree_is_on_disk():
    tree = re.search(r"```text\n(.*?)```", _readme(), re.S).group(1)
    for line in tree.splitlines():
        names = re.match(r"((?:[\w.-]+(?:/[\w.-]+)*/?)(?: [\w.-]+\.py)*)  ", line.strip() + "  ")
        assert names, line
        for name in names.group(1).split():
            assert any((ROOT / base / name).exists() for base in ("", "kit")), name


def test_every_module_of_kit_is_in_the_readme_tree():
    tree = re.search(r"```text\n(.*?)```", _readme(), re.S).group(1)
    missing = [p.name for p in (ROOT / "kit").glob("*.py") if p.name not in tree and p.name not in ("__init__.py", "__main__.py")]
    assert not missing


def test_help_imports_neither_pandas_nor_torch():
    told = "import sys; from kit.cli import app\ntry: app(['--help'])\nexcept SystemExit: pass\nprint(sorted({'pandas', 'torch', 'numpy', 'lightgbm'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_lightgbm_run_never_imports_torch(table):
    told = "import sys; sys.argv = ['kit', 'train', 'toy']; from kit import cli\ncli.app(standalone_mode=False)\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.splitlines()[-1] == "False"


def test_nothing_shipped_holds_a_pickle_or_runs_code_from_a_file():
    for path in MODULES:
        names = {n.id for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Name)}
        assert not names & {"eval", "exec", "pickle", "joblib"}, path
