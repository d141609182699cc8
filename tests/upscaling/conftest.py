"""A tiny network whose results fill the range and differ from place to place."""

import pytest
import torch

from sixteenfold.networks.generator import Generator


def make_network(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    generator = Generator(features=8, growth=4, blocks=(1, 1))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(4)
        # Then the last layer brings the result into 0..1: mean 0.5, deviation 0.15.
        result = generator(torch.rand(1, 3, 12, 12))
        generator.last.weight.mul_(0.15 / result.std())
        assert generator.last.bias is not None
        generator.last.bias.fill_(0.5 - 0.15 * float(result.mean() / result.std()))
    return generator


@pytest.fixture
def network() -> Generator:
    return make_network()


@pytest.fixture
def other_network() -> Generator:
    return make_network(1)
