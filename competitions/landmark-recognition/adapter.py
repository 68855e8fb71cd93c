"""Landmark Recognition: a sample in the layout of its lists, with pictures that cannot be had any more."""

from kit.adapters.image import Image


class LandmarkRecognition(Image):
    sample_answer = "landmarks"
    sample_loses = True

    def sample_id(self, word: int) -> str:
        return f"{word:016x}"

    def sample_label(self, thing: int) -> str:
        return str(37 + 311 * thing)

    def sample_columns(self, part: str, id: str, there: bool) -> dict[str, str]:
        return {"url": f"https://photos.example.invalid/recognition/{id}.jpg" if there else "None"}
