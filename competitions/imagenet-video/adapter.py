"""ImageNet VID: a sample in the layout of its clips."""

from kit.adapters.detection import Detection


class ImagenetVideo(Detection):
    sample_folders = ("ILSVRC2015_VID_train_0000", "ILSVRC2015_VID_train_0001")
