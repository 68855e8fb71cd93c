"""Landmark Retrieval: a sample in the layout of its lists, with that of the challenge whose labels it learns from beside them."""

from kit.adapters.image import Image


class Landmarks(Image):
    sample_loses = True

    def sample_id(self, word: int) -> str:
        return f"{word:016x}"

    def sample_columns(self, part: str, id: str, there: bool) -> dict[str, str]:
        return {"url": f"https://photos.example.invalid/retrieval/{id}.jpg" if there else "None"}
