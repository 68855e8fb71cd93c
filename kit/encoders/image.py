"""Pictures: handed on undecoded to a model that takes them, else as columns of frozen features, computed once and shared by all folds."""

from typing import Literal

import numpy as np

from kit.album import Album, Pictures, gather
from kit.encoders import Gathering
from kit.encoders._stored import Gathered, Stored, computed_once
from kit.files import begun_from

_LEAST_SIDE = 256  # pixels that pictures are kept at for features
_PIXELS = 12  # side of the thumbnails that are the plainest features


class Image(Stored):
    block = Pictures

    def __init__(
        self,
        *,
        size: int = 0,
        cache: Literal["auto", "always", "never"] = "auto",
        most_pixels: int = 100_000_000,
        most_damaged: float = 0.1,
        features: str = "pixels",
        weights: str = "hub",
        feature_size: int = 0,
    ):
        """
        size          pixels of the shorter side to which decoded pictures are kept; 0 is a little more than the model looks at
        cache         keep decoded pictures on disk: where they fit, always or never
        most_pixels   a file that declares more is not decoded
        most_damaged  0..1, share of the training pictures that may be damaged or missing
        features      for models that take no pictures: "pixels" (thumbnails), or a timm architecture whose pooled output is taken
        weights       of that architecture: "hub", "package" or a file
        feature_size  pixels, the side of what it looks at; 0 is the size that its weights were trained at
        """
        self.size, self.cache, self.most_pixels, self.most_damaged = size, cache, most_pixels, most_damaged
        self.features, self.weights, self.feature_size = features, weights, feature_size
        self.stores: dict[str, Gathered] = {}

    def gather(self, column: str, cells: np.ndarray, training: int, how: Gathering) -> Gathered:
        """
        cells     (n,) paths or arrays; the first `training` are training rows
        Raises DataError where more than the share of training pictures is damaged, and ConfigError where a package of weights is not installed.
        """
        if self.weights == "package" and self.features != "pixels" and "image" not in how.takes:
            from kit.backbones import check_package  # as below

            check_package(self.features)  # before pictures are decoded
        size = self.size or (0 if "image" in how.takes else max(_LEAST_SIDE, self._looked_at()))
        album = gather(
            cells, folder=how.folder, size=size, cache=self.cache, most_pixels=self.most_pixels, threads=how.threads, progress=how.progress
        )
        if told := album.described():
            how.progress(f"column {column}: {told}")
        album.check_share(np.arange(training), self.most_damaged, f"the training rows (column {column})")
        return Gathered(album, None if "image" in how.takes else self._frozen(album, how))

    def _looked_at(self) -> int:
        """Pixels of the side that features are computed at, where a network computes them."""
        if self.features == "pixels":
            return 0
        from kit.backbones import side_of  # as below

        return self.feature_size or side_of(self.features)

    def _frozen(self, album: Album, how: Gathering) -> np.ndarray:
        def made() -> np.ndarray:
            if self.features == "pixels":
                values = _thumbnails(album)
            else:
                from kit.backbones import frozen_features  # torch is imported only where a network is asked for

                values = frozen_features(album, self.features, weights=self.weights, size=self.feature_size, threads=how.threads, progress=how.progress)
            values[~album.there] = np.nan
            return values

        return computed_once(how, "image", f"{album.key} {self.features} {self.weights} {self.feature_size} {_PIXELS}", begun_from(self.weights), made)


def _thumbnails(album: Album) -> np.ndarray:
    """(n, 3 x side x side) float32, 0..1."""
    from PIL import Image as Pillow

    values = np.empty((len(album), _PIXELS * _PIXELS * 3), np.float32)
    for n in range(len(album)):
        small = Pillow.fromarray(album[n]).resize((_PIXELS, _PIXELS), Pillow.Resampling.BOX)
        values[n] = np.asarray(small, np.float32).ravel() / 255
    album.release()
    return values
