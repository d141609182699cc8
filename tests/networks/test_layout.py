"""One way for a network to lie in memory, for training and for use."""

import torch

from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.layout import place


def test_the_channels_of_a_pixel_lie_side_by_side() -> None:
    network = Generator(features=8, growth=4, blocks=(1, 0))
    place(network, torch.device("cpu"), torch.bfloat16)
    place(network, torch.device("cpu"))
    for parameter in network.parameters():
        assert parameter.dtype == torch.bfloat16
        assert parameter.dim() != 4 or parameter.is_contiguous(memory_format=torch.channels_last)


def test_gradients_lie_as_their_weights_do() -> None:
    """In bf16 too, and where a kernel is one pixel: otherwise DDP copies them, with a warning."""
    network = UNetDiscriminator((4, 4))
    place(network, torch.device("cpu"))
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.rand(2, 3, 8, 8).contiguous(memory_format=torch.channels_last))
    torch.stack([logits.float().mean() for logits in output.logits]).sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.stride() == parameter.grad.stride(), name
