"""Run folders: made, locked, continued, read; and the local leaderboard.

A folder is created exclusively and locked while its training lives, so that two trainings never write into one. The lock is the
operating system's: it is gone with the process, however that ended.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import kit
from kit.config import Config
from kit.errors import RunError
from kit.files import digest, named, read_json, write_json

_LIBRARIES = ("numpy", "pandas", "scikit-learn", "lightgbm", "pyarrow", "torch", "pytorch-lightning", "catboost", "xgboost")


@dataclass
class Run:
    """
    folder  competitions/<name>/runs/<number>-<model>
    info    what run.json holds
    """

    folder: Path
    info: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    def save(self, **changes: Any) -> None:
        self.info |= changes
        write_json(self.folder / "run.json", self.info)

    def held(self) -> dict[str, str]:
        """SHA-256 of each file that the run is made of: all but run.json, logs, reports, and what was predicted later."""
        told = [p.relative_to(self.folder) for p in sorted(self.folder.rglob("*")) if p.is_file()]
        kept = [p for p in told if p.parts[0] not in ("run.json", "log.txt") and not p.parts[0].startswith(("predict-", ".")) and "logs" not in p.parts and p.suffix != ".html"]
        return {str(p): digest(self.folder / p) for p in kept}

    def log(self, line: str) -> None:
        with named(self.folder / "log.txt"), open(self.folder / "log.txt", "a", encoding="utf-8") as file:
            file.write(line + "\n")


def command_hash(config: Config, data: str) -> str:
    """Of the resolved config, the data's fingerprint and kit's version: the same command has the same."""
    asked = config.as_dict()
    for key in ("loggers", "threads"):  # who listens, and how many work on it, changes nothing
        asked.get("train", {}).pop(key, None)
    told = json.dumps([asked, data, kit.__version__], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    found = {"kit": kit.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def started(runs: Path, config: Config, data: str) -> Iterator[Run]:
    """The unfinished, unlocked run of the same command, else a new one; locked until the block ends.

    Raises RunError where the folder cannot be written.
    """
    command = command_hash(config, data)
    lock = None
    try:
        for folder in _folders(runs):
            if not _unfinished(_info(folder), command):
                continue
            lock = _locked(folder)
            info = _info(folder)  # again: until the lock was ours, another process may have finished it
            if lock is not None and _unfinished(info, command):
                run = Run(folder, info)
                for left in folder.rglob(".*.*"):  # temporary files of a process that was killed while it wrote
                    left.unlink()
                run.save(state="running", continued=info["continued"] + 1)
                break
            if lock is not None:
                os.close(lock)
                lock = None
        else:
            folder, lock = _new_folder(runs, config.model["name"])
            run = Run(folder, {})
            config.write(folder / "config.toml")
            run.save(state="running", command=command, data=data, seed=config.train["seed"], versions=versions(), continued=0)
        yield run
    except BaseException as error:
        if lock is not None and run.info.get("state") == "running":
            stopped = isinstance(error, (KeyboardInterrupt, SystemExit))
            with suppress(RunError):  # the folder cannot be written, which is what the first error says
                run.save(state="interrupted" if stopped else "failed")
        raise
    finally:
        if lock is not None:
            os.close(lock)


def unblended(runs: Path, config: Config, data: str) -> Run | None:
    """The newest finished run of the same command that is in no finished blend, or None."""
    known = [run for run in listed(runs) if run.info["state"] == "finished"]
    blended = {name for run in known for name in run.info.get("blended", {}).get("runs", [])}
    command = command_hash(config, data)
    return next((run for run in reversed(known) if run.info.get("command") == command and run.name not in blended), None)


def _folders(runs: Path) -> list[Path]:
    found = [p for p in runs.glob("*-*") if p.is_dir() and re.match(r"\d+-", p.name)] if runs.is_dir() else []
    return sorted(found, key=lambda p: (int(p.name.split("-")[0]), p.name))


def _info(folder: Path) -> dict[str, Any] | None:
    path = folder / "run.json"
    return read_json(path) if path.is_file() else None


def _unfinished(info: dict[str, Any] | None, command: str) -> bool:
    return info is not None and info.get("command") == command and info["state"] != "finished"


def _locked(folder: Path) -> int | None:
    """A handle that holds the folder's lock, or None if another process does. Raises RunError where the folder cannot be written."""
    with named(folder / ".lock"):
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _new_folder(runs: Path, model: str) -> tuple[Path, int]:
    """A folder under the next number, made exclusively: of two processes one gets the number and the other the next."""
    word = re.sub(r"\W+", "-", Path(model).stem).strip("-") or "model"
    try:
        runs.mkdir(parents=True, exist_ok=True)
        guard = os.open(runs, os.O_RDONLY)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)  # a number is one run's, whatever the model's name
            number = max((int(p.name.split("-")[0]) for p in _folders(runs)), default=0) + 1
            folder = runs / f"{number}-{word}"
            folder.mkdir()
            lock = _locked(folder)
        finally:
            os.close(guard)
    except OSError as error:
        raise RunError(f"cannot make a run folder in {runs}: {error.strerror}\nis it writable, and is there space?") from error
    assert lock is not None, "a folder just made is not locked"
    return folder, lock


def open_run(path: Path) -> Run:
    """A finished or unfinished run. Raises RunError if the folder is none."""
    path = Path(path)
    if not (path / "run.json").is_file():
        raise RunError(f"{path} is no run folder: it has no run.json\n`kit runs COMPETITION` lists a competition's runs")
    return Run(path, read_json(path / "run.json"))


def listed(runs: Path) -> list[Run]:
    """All runs of a competition, in the order of their numbers."""
    return [Run(folder, info) for folder in _folders(runs) if (info := _info(folder))]
