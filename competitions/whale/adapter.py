"""Whale: a sample in the layout of its table, whose ids are names of files."""

from kit.adapters.image import Image


class Whale(Image):
    def sample_id(self, word: int) -> str:
        return f"{word % (1 << 32):08x}.jpg"

    def sample_label(self, thing: int) -> str:
        return f"w_{(thing + 1) * 0x51EB851 % (1 << 28):07x}"
