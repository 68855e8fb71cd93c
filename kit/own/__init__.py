"""Gives a competition's own code a stable module name: `kit.own.titanic.adapter`.

Loader workers and fold processes import a class by its module's name; this package finds the competition's folder again in them,
through an environment variable that child processes inherit.
"""

import importlib
import importlib.machinery
import json
import os
import sys
from pathlib import Path
from types import ModuleType

_VARIABLE = "KIT_OWN_FOLDERS"  # JSON: competition name -> folder


class _Finder:
    """Finds `kit.own.<competition>` as a package whose files are those of the competition's folder."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        parent, _, competition = name.rpartition(".")
        if parent != __name__:
            return None
        folder = json.loads(os.environ.get(_VARIABLE, "{}")).get(competition)
        if folder is None:
            return None
        spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [folder]
        return spec


sys.meta_path.append(_Finder)


def load(folder: Path, stem: str) -> ModuleType:
    """The module `<folder>/<stem>.py`, run as `kit.own.<folder's name>.<stem>`."""
    folder = Path(folder).resolve()
    known = json.loads(os.environ.get(_VARIABLE, "{}"))
    package = f"{__name__}.{folder.name}"
    if known.get(folder.name) != str(folder):  # the same name in another folder: forget what was imported from the first
        for module in [m for m in sys.modules if m == package or m.startswith(f"{package}.")]:
            del sys.modules[module]
        os.environ[_VARIABLE] = json.dumps({**known, folder.name: str(folder)})
        importlib.invalidate_caches()
    return importlib.import_module(f"{package}.{stem}")
