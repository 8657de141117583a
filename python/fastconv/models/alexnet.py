"""AlexNet: the network of 2012 as Caffe has it, and torchvision's single-column descendant."""

from __future__ import annotations

from .. import nn
from ..autograd import Tensor, ops
from .registry import InputShape, choose, register

__all__ = ["AlexNet", "CaffeAlexNet", "alexnet"]

# Deviation of the weights and value of the biases at the start, as in Caffe's train_val.prototxt.
_START = {
    "conv1": (0.01, False),
    "conv2": (0.01, True),
    "conv3": (0.01, False),
    "conv4": (0.01, True),
    "conv5": (0.01, True),
    "fc6": (0.005, True),
    "fc7": (0.005, True),
    "fc8": (0.01, False),
}
# Caffe's AlexNet normalises before it pools, CaffeNet after.
_NORM_FIRST = {"caffe": True, "caffenet": False}
_BIAS = {"caffe": 0.1, "caffenet": 1.0}


class CaffeAlexNet(nn.Sequential):
    """See `alexnet`; layers have Caffe's names."""

    input_shape: InputShape = (3, 227, 227)

    def __init__(
        self, num_classes: int = 1000, variant: str = "caffe", dropout: float = 0.5
    ) -> None:
        norm_first = choose("alexnet", variant, _NORM_FIRST)

        def norm_and_pool(stage: int) -> dict[str, nn.Module]:
            norm = (f"norm{stage}", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0))
            pool = (f"pool{stage}", nn.MaxPool2d(3, stride=2, ceil_mode="caffe"))
            return dict([norm, pool] if norm_first else [pool, norm])

        with nn.init.skip_init():  # all is drawn below
            super().__init__(
                {
                    "conv1": nn.Conv2d(3, 96, 11, stride=4),  # 96x55x55
                    "relu1": nn.ReLU(),
                    **norm_and_pool(1),  # 96x27x27
                    "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=2),  # 256x27x27
                    "relu2": nn.ReLU(),
                    **norm_and_pool(2),  # 256x13x13
                    "conv3": nn.Conv2d(256, 384, 3, padding=1),  # 384x13x13
                    "relu3": nn.ReLU(),
                    "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=2),  # 384x13x13
                    "relu4": nn.ReLU(),
                    "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=2),  # 256x13x13
                    "relu5": nn.ReLU(),
                    "pool5": nn.MaxPool2d(3, stride=2, ceil_mode="caffe"),  # 256x6x6
                    "flatten": nn.Flatten(),
                    "fc6": nn.Linear(256 * 6 * 6, 4096),
                    "relu6": nn.ReLU(),
                    "drop6": nn.Dropout(dropout),
                    "fc7": nn.Linear(4096, 4096),
                    "relu7": nn.ReLU(),
                    "drop7": nn.Dropout(dropout),
                    "fc8": nn.Linear(4096, num_classes),
                }
            )
        for name, (std, biased) in _START.items():
            layer = getattr(self, name)
            nn.init.normal_(layer.weight, std=std)
            nn.init.constant_(layer.bias, _BIAS[variant] if biased else 0.0)


class AlexNet(nn.Module):
    """See `alexnet`, variant "torchvision"; state dict as torchvision.models.AlexNet."""

    input_shape: InputShape = (3, 224, 224)

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),  # 64x55x55
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # 64x27x27
            nn.Conv2d(64, 192, 5, padding=2),  # 192x27x27
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # 192x13x13
            nn.Conv2d(192, 384, 3, padding=1),  # 384x13x13
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),  # 256x13x13
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),  # 256x13x13
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),  # 256x6x6
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        x = self.avgpool(x)
        x = ops.flatten(x, 1)
        x = self.classifier(x)
        return x

    def stages(self) -> list[nn.Module]:
        """Return modules that, one after the other, compute what `forward` does."""
        return [self.features, self.avgpool, nn.Flatten(), self.classifier]


_SHAPES = {
    "caffe": CaffeAlexNet.input_shape,
    "caffenet": CaffeAlexNet.input_shape,
    "torchvision": AlexNet.input_shape,
}


@register(**_SHAPES)
def alexnet(
    num_classes: int = 1000, variant: str = "caffe", dropout: float = 0.5
) -> CaffeAlexNet | AlexNet:
    """AlexNet: five convolutions and three fully connected layers.

    Krizhevsky, Sutskever and Hinton 2012, "ImageNet classification with deep convolutional neural
    networks". "caffe" (input (N, 3, 227, 227), 60,965,224 parameters) is BVLC's copy: conv2, conv4
    and conv5 in two groups, local response normalisation after ReLU and before pooling, with k = 1
    where the paper has 2; the paper says 224 pixels, but only 227 give its 55x55 maps. "caffenet"
    pools before it normalises. "torchvision" (input 224, 61,100,840 parameters) is the network of
    Krizhevsky 2014, https://arxiv.org/abs/1404.5997: one column, narrower, neither groups nor
    normalisation. Raises ValueError for other variants.
    """
    choose("alexnet", variant, _SHAPES)
    if variant == "torchvision":
        return AlexNet(num_classes, dropout)
    return CaffeAlexNet(num_classes, variant, dropout)
