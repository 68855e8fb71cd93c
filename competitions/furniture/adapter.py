"""Furniture: a sample in the layout of its JSON files, which number each part from 1 and name no files."""

from typing import Any

from kit.adapters.image_json import ImageJson


class Furniture(ImageJson):
    def sample_label(self, number: int) -> int:
        return number + 1

    def sample_entry(self, drawn: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        image = {"image_id": drawn.number, "url": [f"https://photos.example.invalid/furniture/{drawn.word}.jpg"]}
        return image, [{"image_id": drawn.number, "label_id": self.sample_label(drawn.labels[0])}]

    def sample_heading(self, part: str) -> dict[str, Any]:
        return {}
