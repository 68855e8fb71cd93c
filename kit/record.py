"""What a budget has done so far."""

from dataclasses import dataclass, field
from pathlib import Path

from kit import files


@dataclass
class Record:
    """What a budget has done, on the disk after every step, so that the same command goes on where it was stopped.

    used    seconds
    steps   label -> name of its run; "" for one that failed or was stopped
    limits  label -> model.seconds, as it was given when the step was begun
    """

    path: Path
    used: float = 0.0
    steps: dict[str, str] = field(default_factory=dict)
    blends: list[str] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)

    @staticmethod
    def open(path: Path) -> "Record":
        if not path.is_file():
            return Record(path)
        held = files.read_json(path)
        return Record(path, held["used"], held["steps"], held["blends"], held.get("limits", {}))

    def save(self, used: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.used = used
        files.write_json(self.path, {"used": used, "steps": self.steps, "blends": self.blends, "limits": self.limits})

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
