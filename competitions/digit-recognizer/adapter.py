"""Digits: the sample submission writes Label where the training file writes label."""

from kit.adapters.image_pixels import ImagePixels


class DigitRecognizer(ImagePixels):
    sample_answer = "Label"
