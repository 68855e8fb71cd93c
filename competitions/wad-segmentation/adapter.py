"""CVPR 2018 WAD: a sample in the layout of its frames, labels and lists of clips."""

import hashlib
from pathlib import Path

from kit.adapters.segmentation import Segmentation
from kit.files import write_text


class Wad(Segmentation):
    def write_sample(self, folder: Path, rows: int = 60) -> None:
        """Beside the lists of test clips are those that name each frame's original."""
        super().write_sample(folder, rows)
        for path in sorted((Path(folder) / self.test_clips).iterdir()):
            lines = path.read_text(encoding="utf-8").splitlines()
            told = "".join(f"{line}\t{_frame('test', path.stem, n)}.jpg\n" for n, line in enumerate(lines))
            write_text(Path(folder) / self.test_clips.replace("list_test", "list_test_mapping") / path.name, told)

    def sample_id(self, part: str, clip: int, frame: int) -> str:
        name = _frame(part, str(clip), frame)
        return name if part == self.train_file else hashlib.md5(name.encode()).hexdigest()

    def sample_clip(self, part: str, clip: int) -> str:
        return f"road0{clip % 3 + 1}_cam_{5 + clip % 2}_video_{clip + 1}_image_list_{'train' if part == self.train_file else 'test'}.txt"

    def sample_line(self, part: str, id: str) -> str:
        return f"{id}.jpg\t{id}_instanceIds.png" if part == self.train_file else f"{id}.jpg"


def _frame(part: str, clip: str, frame: int) -> str:
    """Date, time of day to the millisecond, and camera."""
    moment = int(hashlib.md5(f"{part} {clip}".encode()).hexdigest(), 16) % 80_000 + 6_000_000
    return f"170908_{moment:07d}{frame * 43:02d}_Camera_5"
