"""Wheels for a machine without a network: kit's own and those of small pure libraries written from what is installed here, others downloaded.

A wheel is a zip with a list of its files. Written from the very files that are imported, it is what ran here, and no build tool has to be
fetched for it.
"""

import base64
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import kit
from kit.errors import RunError, bullets
from kit.files import whole
from kit.needs import NAME, asked_by_extra, installed, python_versions

CARRIED = {  # small and pure, so that they cost nothing to bring along; the notebook installs them only where they are missing
    "tomli-w": "reads a run's config; few other libraries need it",
    "ensemble-boxes": "fuses boxes; of use in detection alone",
    "pytorch-metric-learning": "losses of embedders; of use in retrieval alone",
}
HEAVY = {  # hundreds of megabytes, and Kaggle's images have them
    "torch": "2 GB with its CUDA libraries",
    "torchvision": "built for one torch alone",
    "catboost": "100 MB",
    "xgboost": "200 MB",
}
_LEFT_OUT = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")  # of a dist-info: how it was installed here is nobody else's affair


def own_wheel(folder: Path) -> Path:
    """kit's wheel, from the modules that are imported here; its recipes and templates are not in it."""
    top, about = Path(kit.__file__).parent, f"competition_kit-{kit.__version__}.dist-info"
    needs = [f"Requires-Dist: {line}" + (f"; extra == '{extra}'" if extra else "") for extra, lines in asked_by_extra().items() for line in lines]
    told = ["Metadata-Version: 2.1", f"Name: {NAME}", f"Version: {kit.__version__}", f"Requires-Python: {python_versions()}", *(f"Provides-Extra: {extra}" for extra in asked_by_extra() if extra), *needs]
    files = {f"kit/{p.relative_to(top).as_posix()}": p.read_bytes() for p in sorted(top.rglob("*.py")) if "shipped" not in p.relative_to(top).parts}
    files[f"{about}/METADATA"] = ("\n".join(told) + "\n").encode()
    files[f"{about}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: kit\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{about}/entry_points.txt"] = b"[console_scripts]\nkit = kit.cli:main\n"
    return _written(folder / f"competition_kit-{kit.__version__}-py3-none-any.whl", about, files)


def carried_wheel(folder: Path, name: str) -> Path:
    """The wheel of an installed pure library. Raises RunError where its files are not all here, or are built for this machine alone."""
    found = metadata.distribution(name)
    about = next((f.parts[0] for f in found.files or [] if f.name == "WHEEL"), None)
    told = found.read_text("WHEEL") or ""
    editable = '"editable": true' in (found.read_text("direct_url.json") or "")
    if about is None or "Root-Is-Purelib: true" not in told or editable:
        raise RunError(f"no wheel of {name} can be written from what is installed: it is editable, or not Python alone\nadd it with --wheels VERSION, where there is a network")
    kept = [f for f in found.files or [] if ".." not in f.parts and "__pycache__" not in f.parts and not (f.parts[0] == about and f.name in _LEFT_OUT)]
    tags = [t.split("-") for t in re.findall(r"(?m)^Tag: (\S+)", told)]
    tag = "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*tags))
    stem = about.removesuffix(".dist-info")
    return _written(folder / f"{stem}-{tag}.whl", about, {f.as_posix(): Path(f.locate()).read_bytes() for f in kept})


def _written(path: Path, about: str, files: dict[str, bytes]) -> Path:
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in files.items()) + f"{about}/RECORD,,\n"
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, f"{about}/RECORD": record.encode()}.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # the same files make the same bytes
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(info, data)
    return path


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")


def download(folder: Path, needs: dict[str, str], *, python: str, platform: str) -> None:
    """Wheels by pip, from wherever it is set up to look.

    needs     distribution -> versions; where one is installed here, the wheel is of the same version
    python    such as "3.12"
    platform  such as "x86_64": of Linux
    Raises RunError naming all that could not be had, without the address that was asked.
    """
    platforms = [w for minor in range(28, 16, -1) for w in ("--platform", f"manylinux_2_{minor}_{platform}")] + ["--platform", f"manylinux2014_{platform}"]
    lacking = []
    for name, versions in needs.items():
        words = ["--no-deps", "--only-binary=:all:", "--implementation=cp", "--python-version", python, *platforms, "--dest", str(folder)]
        asked = f"{name}=={installed(name)}" if installed(name) else f"{name}{versions}"
        done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *words, asked], capture_output=True, text=True, check=False, env=os.environ)
        if done.returncode:
            told = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()[-1:]
            lacking.append(f"{asked}: {re.sub(r'[a-z+]+://[^ ]+', '<address>', told[0].removeprefix('ERROR: ')) if told else 'pip says nothing'}")
    if lacking:
        raise RunError(bullets([f"{len(lacking)} wheels for Python {python} on {platform} could not be downloaded", *lacking]) + "\nis there a network, and is pip told where to look?")
