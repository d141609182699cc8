"""One way for a network to lie in memory, for training and for use."""

import torch

from sixteenfold.networks.generator import Generator
from sixteenfold.networks.layout import place


def test_the_channels_of_a_pixel_lie_side_by_side() -> None:
    network = Generator(features=8, growth=4, blocks=(1, 0))
    place(network, torch.device("cpu"), torch.bfloat16)
    place(network, torch.device("cpu"))
    for parameter in network.parameters():
        assert parameter.dtype == torch.bfloat16
        assert parameter.dim() != 4 or parameter.is_contiguous(memory_format=torch.channels_last)
