"""What a budget has done so far."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from kit import files


@dataclass
class Record:
    """What a budget has done, on the disk after every step, so that the same command goes on where it was stopped.

    used      seconds
    steps     label -> name of its run; "" for one that failed or was stopped
    given     label -> what its model was given to end in time (seconds, learning_rate), when the step was begun
    took      label -> seconds
    slower    family -> what its last step took, as a multiple of what was expected
    blending  seconds of the last blend
    """

    path: Path
    used: float = 0.0
    steps: dict[str, str] = field(default_factory=dict)
    blends: list[str] = field(default_factory=list)
    given: dict[str, dict[str, float]] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    slower: dict[str, float] = field(default_factory=dict)
    blending: float = 0.0

    @staticmethod
    def open(path: Path) -> "Record":
        if not path.is_file():
            return Record(path)
        held, known = files.read_json(path), {f.name for f in fields(Record)}
        return Record(path, **{key: value for key, value in held.items() if key in known})

    def save(self, used: float) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.used = used
        files.write_json(self.path, {key: value for key, value in asdict(self).items() if key != "path"})

    def close(self) -> None:
        self.path.unlink(missing_ok=True)
