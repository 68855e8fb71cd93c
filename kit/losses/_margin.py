"""What losses with a margin between angles share: a direction for each class, learned with the network, and cosines to it."""

from typing import Any

import torch
from pytorch_metric_learning.losses import ArcFaceLoss
from pytorch_metric_learning.reducers import DoNothingReducer
from pytorch_metric_learning.utils.common_functions import TorchInitWrapper
from torch import Tensor, nn
from torch.nn.functional import normalize

from kit.errors import ConfigError
from kit.losses._loss import Loss

_NEAR = 1 - 1e-6  # a cosine of the true class counts as at most this: the slope of the arc cosine at 1 is infinite


class Margin(Loss):
    """forward(embeddings (n, width) of any length, target (n,) int64). The formulas are pytorch-metric-learning's, whose margins are in degrees.

    A class's direction is a column of the (width, outputs) matrix `angular.W`. It starts as long as 1: a step of the optimiser turns a longer one
    less, and the package's own start of length sqrt(width) would hardly turn in a short training.
    """

    tasks = ("multiclass",)
    embeds = True

    def __init__(self, task: str, *, margin: float, scale: float):
        super().__init__(task)
        name = type(self).__module__.rsplit(".", 1)[-1]
        if not 0 <= margin < 90:
            raise ConfigError(f"margin = {margin} of loss {name}: expected degrees, 0 or more and below 90")
        if scale <= 0:
            raise ConfigError(f"scale = {scale} of loss {name}: expected a number above 0")
        self.margin, self.scale = margin, scale

    def build(self, width: int, outputs: int) -> None:
        self.outputs = outputs
        start = TorchInitWrapper(nn.init.normal_, std=width**-0.5)
        given = {"num_classes": outputs, "embedding_size": width, "margin": self.margin, "scale": self.scale}
        self.angular = self._angular(**given, weight_init_func=start, reducer=DoNothingReducer())

    @torch.no_grad()
    def place(self, classes: Tensor, directions: Tensor) -> None:
        """Gives classes (k,) that nothing was learned of these directions (k, width), as long as those of the others are on average; of several sub-centres the first has it."""
        weight = self.angular.W
        first = classes.to(weight.device) * (weight.shape[1] // self.outputs)
        length = weight.norm(dim=0).mean()
        weight[:, first] = length * normalize(directions.to(weight), dim=1).T

    def _angular(self, **given: Any) -> ArcFaceLoss:
        """The package's loss, made with what it is given."""
        raise NotImplementedError

    def forward(self, embeddings: Tensor, target: Tensor) -> Tensor:
        with torch.autocast(embeddings.device.type, enabled=False):  # an angle of 16-bit cosines is off by degrees
            return self.angular(embeddings.to(self.angular.W.dtype), target)["loss"]["losses"]

    def predict(self, embeddings: Tensor) -> Tensor:
        """(n, outputs) softmax of the scaled cosines, without a margin."""
        with torch.autocast(embeddings.device.type, enabled=False):
            return torch.softmax(self.angular.get_logits(embeddings.to(self.angular.W.dtype)), dim=1)


class Steady:
    """Beside one of the package's losses: keeps the gradient finite where an embedding points exactly where its class does, or opposite."""

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        return super().get_angles(cosine_of_target_classes.clamp(-_NEAR, _NEAR))
