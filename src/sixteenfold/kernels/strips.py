"""3x3 convolutions of strips of rows: what a feature stack needs that is fed from top to bottom."""

import torch
from torch import Tensor, nn

from sixteenfold.kernels.assembly import Machine
from sixteenfold.kernels.planes import Convolver, Layer, make_layer
from sixteenfold.kernels.winograd import Variant

RELU = Variant(slope=0.0)


class StripConvolver:
    """Runs convolutions with ReLU on float32 strips, on as many threads as PyTorch uses when it is made.

    Args:
        machine: The CPU.
    """

    def __init__(self, machine: Machine) -> None:
        self._convolver = Convolver(machine)

    def layer(self, conv: nn.Conv2d) -> Layer:
        """A 3x3 convolution of stride 1, its weights laid out."""
        return make_layer(conv, [conv.in_channels], self._convolver.machine.lanes, RELU)

    def __call__(self, layer: Layer, channels: int, rows: Tensor) -> Tensor:
        """ReLU of the convolution, padded with zeros at the sides alone.

        (N, C, H + 2, W), best channels-last -> (N, channels, H, W) channels-last.
        """
        count, given, height, width = rows.shape
        planes = self._convolver.planes("source", given, height - 2, width)
        shape = (count, channels, height - 2, width)
        result = torch.empty(shape, dtype=torch.float32, device="cpu", memory_format=torch.channels_last)
        for i, made in enumerate(self._convolver.each(layer, (planes.fill(picture, around=1) for picture in rows))):
            made.copy_to(result[i])
        return result
