"""Fashion: a sample in the layout of its JSON files, whose numbers are text and whose labels are a list."""

from typing import Any

from kit.adapters.image_json import ImageJson


class Fashion(ImageJson):
    def sample_label(self, number: int) -> int:
        return number + 1

    def sample_entry(self, drawn: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        own = {"imageId": str(drawn.number)}
        labels = [str(self.sample_label(n)) for n in drawn.labels]
        return {"url": f"https://photos.example.invalid/fashion/{drawn.word}.jpg", **own}, [{"labelId": labels, **own}]

    def sample_heading(self, part: str) -> dict[str, Any]:
        return {"info": {"description": "made pictures in the layout of iMaterialist Fashion at FGVC5", "year": 2018, "version": "1"}}
