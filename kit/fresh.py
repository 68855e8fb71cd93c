"""A fresh virtual environment without network: the libraries that are installed here, without kit itself and what a bundle brings along.

The libraries are links in a folder of their own. An editable kit is found by a .pth file of the environment it is installed in, which such
links do not carry: nothing leads from the fresh environment to the kit that made it.
"""

import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from kit import blocked
from kit.errors import RunError
from kit.needs import NAME, plain

_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "GOMP_SPINCOUNT")  # of the environment's variables
_UNPLUGGED = (["unshare", "-n"], ["unshare", "-r", "-n"])  # as root; as anybody, where the system lets users have namespaces
_GUARD = "_rehearsal"


@dataclass(frozen=True)
class Done:
    """
    code     what the process ended with
    out      its standard output and error, as they came
    seconds  wall time
    """

    code: int
    out: str
    seconds: float


@dataclass(frozen=True)
class Environment:
    """
    folder     of the virtual environment
    unplugged  the command that starts a process without any network interface; empty where the system has none
    """

    folder: Path
    unplugged: tuple[str, ...]

    @staticmethod
    def made(folder: Path, without: Iterable[str]) -> "Environment":
        """
        folder   for the environment, which is made
        without  distributions that are left out of the libraries, kit always among them
        Raises RunError where Python cannot make one.
        """
        folder = folder.resolve()
        try:
            venv.EnvBuilder(with_pip=util.find_spec("pip") is None, symlinks=os.name != "nt").create(folder)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RunError(f"no fresh environment can be made: {error}\ninstall Python's venv and ensurepip, or leave the rehearsal out: --no-rehearsal") from error
        packages = next(folder.glob("lib/python*/site-packages"))
        libraries = folder / "libraries"
        _link(libraries, {NAME, *without})
        shutil.copyfile(blocked.__file__, packages / f"{_GUARD}.py")
        (packages / "rehearsal.pth").write_text(f"{libraries}\nimport {_GUARD}; {_GUARD}.begin()\n", encoding="utf-8")
        return Environment(folder, _unplugged())

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def network(self) -> str:
        """In words, how it is kept out."""
        refused = "sockets are refused in every Python process, children too"
        return refused + (f"; no interface in the process's namespace ({' '.join(self.unplugged)})" if self.unplugged else "; this system lends no network namespace")

    def run(self, words: list[str], *, folder: Path, room: Path, notes: Path, told: dict[str, str]) -> Done:
        """One Python process in the environment.

        words   behind `python`
        folder  that it works in
        room    an empty folder: its home, and where it puts temporary files
        notes   the folder that attempts at the network, and imports, are written to
        told    further environment variables
        """
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        own = {"HOME": str(room), "TMPDIR": str(room), "PIP_CONFIG_FILE": os.devnull, blocked.FOLDER: str(notes)}
        began = time.monotonic()
        done = subprocess.run(
            [*self.unplugged, self.python, *words], cwd=folder, env={**kept, **own, **told}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, time.monotonic() - began)

    def is_blocked(self, room: Path) -> bool:
        """Whether a process, and a child of it, are really refused a connection by address and a look-up by name."""
        one = "import socket\nfor f, a in ((socket.create_connection, (('192.0.2.1', 9), 1)), (socket.getaddrinfo, ('kit.invalid', 80))):\n try:\n  f(*a)\n except OSError as e:\n  print('rehearsal refuses' in str(e))"
        both = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {one!r}], check=True)\n{one}"
        return self.run(["-c", both], folder=room, room=room, notes=room, told={}).out.split() == ["True"] * 4


def _link(libraries: Path, without: set[str]) -> None:
    """A link for each entry of the folders of installed packages, the first of a name; none for what `without` names, nor for .pth files."""
    wanted = {plain(name) for name in without}
    hidden = {"kit", "__pycache__", "sitecustomize.py", "usercustomize.py"}
    for found in metadata.distributions():
        if plain(found.metadata["Name"] or "") in wanted:
            hidden |= {file.parts[0] for file in found.files or [] if not file.parts[0].startswith("..")}
    libraries.mkdir()
    for folder in (Path(p) for p in sys.path if Path(p).name in ("site-packages", "dist-packages") and Path(p).is_dir()):
        for entry in folder.iterdir():
            place = libraries / entry.name
            if entry.name not in hidden and entry.suffix != ".pth" and not entry.name.startswith("__editable__") and not place.is_symlink():
                place.symlink_to(entry.resolve())


def _unplugged() -> tuple[str, ...]:
    if shutil.which("unshare") is None:
        return ()
    for words in _UNPLUGGED:
        if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0:
            return tuple(words)
    return ()
