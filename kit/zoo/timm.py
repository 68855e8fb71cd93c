"""Any network of timm by name, its weights from the hub, a file or a package: the usual start for pictures."""

from torch import Tensor, nn

from kit import backbones
from kit.errors import ConfigError
from kit.zoo._inputs import Inputs


class Timm(nn.Module):
    takes = ("image",)
    usual_lr = 5e-4
    SMALL = {"architecture": "test_resnet", "weights": "none"}  # what tests of every network ask for

    def __init__(
        self,
        inputs: Inputs,
        *,
        architecture: str = "resnet50",
        weights: str = "hub",
        drop: float = 0.0,
        drop_path: float = 0.0,
    ):
        """
        architecture  as timm names it, with or without the tag of its weights: "convnext_tiny.in12k_ft_in1k"
        weights       "hub" (fetched once, then kept), "package" (installed with pip), "none", or a file: also another run's model.safetensors
        drop          0..1, share of the pooled features that a training step leaves out
        drop_path     0..1, share of the deepest blocks that a training step leaves out, where the architecture can
        """
        super().__init__()
        self.architecture, self.weights = architecture, weights
        self.body = backbones.create(architecture, outputs=inputs.outputs, drop=drop, drop_path=drop_path, size=inputs.side)
        mean, deviation = backbones.mean_and_deviation(self.body)
        self.register_buffer("mean", 255 * mean.view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", 255 * deviation.view(1, 3, 1, 1), persistent=False)

    @staticmethod
    def bound_to(*, architecture: str = "resnet50", **_: object) -> bool:
        """Whether the architecture takes pictures of one size alone."""
        return backbones.is_fixed(architecture)

    def start(self) -> None:
        """Fills in the pretrained weights; called once, before training."""
        backbones.load(self.body, self.architecture, self.weights)

    def layers(self) -> dict[str, int]:
        """Parameter -> its layer, from 0 at the stem."""
        return {f"body.{name}": layer for name, layer in backbones.layer_of(self.body).items()}

    def head(self) -> set[str]:
        """The parameters of the layer that gives the outputs, which is never pretrained."""
        own = {id(p) for p in self.body.get_classifier().parameters()}
        return {name for name, p in self.named_parameters() if id(p) in own}

    def top(self) -> nn.Module:
        """The module that makes the outputs of the pooled features."""
        return self.body.get_classifier()

    @property
    def width(self) -> int:
        """Of the pooled features under the head."""
        return self.body.num_features if not hasattr(self.body, "head_hidden_size") else self.body.head_hidden_size

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, outputs)"""
        return self.body(self._scaled(batch))

    def features(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width)"""
        return self.body.forward_head(self.body.forward_features(self._scaled(batch)), pre_logits=True)

    def unpool(self) -> None:
        """Takes the architecture's pooling out, for `places`. Raises ConfigError where it has weights of its own, or cannot be taken out."""
        if getattr(self.body, "attn_pool", None) is not None:
            raise ConfigError(self._own_pooling())
        try:
            self.body.reset_classifier(0, "")
        except AssertionError as error:  # timm's way of saying that the head needs its pooling
            raise ConfigError(self._own_pooling()) from error

    def places(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, places, width): what pooling would be given, once it is taken out; a row for each place, after `prefix` tokens of no place."""
        x = self.features(batch)
        if x.dim() == 4:
            return self._channels_first(x).flatten(2).transpose(1, 2)
        if x.dim() != 3:
            raise ConfigError(self._own_pooling())
        return x

    def map(self, batch: dict[str, Tensor]) -> Tensor:
        """(n, width, h, w): likewise, where it is a map."""
        x = self.features(batch)
        if x.dim() != 4:
            raise ConfigError(self._own_pooling())
        return self._channels_first(x)

    def _channels_first(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2) if getattr(self.body, "output_fmt", "NCHW") == "NHWC" else x

    @property
    def bound(self) -> int:
        """Pixels of the side that the architecture is bound to; 0 where it takes any."""
        return backbones.own_size(self.body) if self.body.pretrained_cfg.get("fixed_input_size") else 0

    @property
    def prefix(self) -> int:
        """Tokens that stand for no place of the picture."""
        return getattr(self.body, "num_prefix_tokens", 0)

    @property
    def token(self) -> bool:
        """Whether the first token is the class's."""
        return getattr(self.body, "cls_token", None) is not None

    def _own_pooling(self) -> str:
        return f'model.architecture = "{self.architecture}" gives no map of places or tokens to pool over\nset model.pooling = "own"'

    def _scaled(self, batch: dict[str, Tensor]) -> Tensor:
        return (batch["image"].float() - self.mean) / self.deviation
