"""ImageNet LOC: a sample in the layout of its folders by class."""

from kit.adapters.detection import Detection


class ImagenetLocalization(Detection):
    sample_folders = ("n00000001", "n00000002")
