"""The stacks that torchmetrics reads, laid out as torchvision has them and not as we do; what convolutions go by."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import Tensor, nn
from torch.backends import cudnn

from sixteenfold.kernels.exact import CUDNN
from sixteenfold.metrics.weights import Net, find_weights

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def alexnet() -> nn.Sequential:
    """torchvision.models.alexnet().features."""
    return nn.Sequential(
        nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(64, 192, kernel_size=5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
        nn.Conv2d(192, 384, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, kernel_size=3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2),
    )


def vgg16() -> nn.Sequential:
    """torchvision.models.vgg16().features."""
    layers: list[nn.Module] = []
    channels = 3
    for width in VGG16:
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        else:
            layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
            channels = width
    return nn.Sequential(*layers)


def filled(net: Net) -> nn.Sequential:
    stack = alexnet() if net == "alex" else vgg16()
    convolutions = [layer for layer in stack if isinstance(layer, nn.Conv2d)]
    for layer, (weight, bias) in zip(convolutions, find_weights(net).convolutions, strict=True):
        assert layer.weight.shape == weight.shape
        layer.weight, layer.bias = nn.Parameter(weight), nn.Parameter(bias)
    return stack


@pytest.fixture
def torchvision_features() -> Callable[[Net], nn.Sequential]:
    """A stack as torchvision gives it, with the weights that we use."""
    return filled


@pytest.fixture
def precisions_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[nn.Module], list[str]]:
    """By what precision convolutions go wherever a metric's network begins; TF32 is allowed outside."""
    monkeypatch.setattr(cudnn, "allow_tf32", True)

    def watch(measure: nn.Module) -> list[str]:
        seen: list[str] = []
        normalise: Any = measure.normalise

        def watched(rows: Tensor) -> Tensor:
            seen.append(CUDNN.conv.fp32_precision)
            return normalise(rows)

        monkeypatch.setattr(measure, "normalise", watched)
        return seen

    return watch
