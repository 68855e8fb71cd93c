"""ImageNet DET: a sample in the layout of its lists, one a class, and of its folders by year."""

from kit.adapters.detection import Detection


class ImagenetDetection(Detection):
    sample_classes = ("n00000001", "n00000002")
    sample_folders = ("ILSVRC2013_train/n00000001", "ILSVRC2014_train_0000")

    def sample_lines(self, part: str, ids: list[str]) -> list[str]:
        return [f"{id} 1" for id in ids] if part == "train" else super().sample_lines(part, ids)
