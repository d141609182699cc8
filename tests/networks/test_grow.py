"""Growing: the same output from a larger network, all of which learns."""

import pytest
import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.grow import grow
from sixteenfold.networks.state import GeneratorShape, shape_of


@pytest.fixture
def small() -> Generator:
    """Not just initialized: biases within its blocks, and blocks that do something."""
    torch.manual_seed(3)
    generator = Generator(features=(6, 5, 4), growth=(3, 4), blocks=(2, 1))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return generator


@pytest.mark.parametrize(
    "shape",
    [
        GeneratorShape((6, 5, 4), (3, 4), (4, 3)),
        GeneratorShape((9, 8, 7), (3, 4), (2, 1)),
        GeneratorShape((6, 5, 4), (5, 6), (2, 1)),
        GeneratorShape((9, 8, 7), (5, 6), (3, 4)),
        GeneratorShape((6, 5, 4), (3, 4), (2, 1)),
    ],
    ids=["deeper", "wider", "more growth", "all", "the same"],
)
def test_computes_what_the_small_one_does(small: Generator, shape: GeneratorShape) -> None:
    torch.manual_seed(4)
    large = grow(small, shape)
    assert shape_of(large) == shape
    lr = torch.rand(2, 3, 5, 7)
    with torch.inference_mode():
        torch.testing.assert_close(large(lr), small(lr), atol=1e-5, rtol=1e-5)


def test_a_trunk_without_blocks_grows() -> None:
    """Weights do not tell its growth, which reads as the full network's then."""
    torch.manual_seed(5)
    small = Generator(features=(6, 5, 4), growth=(3, 32), blocks=(1, 0))
    large = grow(small, GeneratorShape((6, 5, 4), (3, 4), (1, 2)))
    lr = torch.rand(1, 3, 5, 7)
    with torch.inference_mode():
        torch.testing.assert_close(large(lr), small(lr), atol=1e-5, rtol=1e-5)


def test_every_channel_learns_within_a_few_steps(small: Generator) -> None:
    large = grow(small, GeneratorShape((8, 7, 6), (4, 5), (3, 2)))
    before = {name: parameter.detach().clone() for name, parameter in large.named_parameters()}
    optimizer = torch.optim.Adam(large.parameters(), 1e-3)
    lr, hr = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 64, 64)
    for _ in range(4):
        optimizer.zero_grad()
        (large(lr) - hr).abs().mean().backward()
        optimizer.step()
    for name, parameter in large.named_parameters():
        still = parameter == before[name]
        assert not any(output.all() for output in still), name
        assert still.dim() == 1 or not any(read.all() for read in still.transpose(0, 1)), name


def test_keeps_the_type_of_the_small_one(small: Generator) -> None:
    large = grow(small.half(), shape_of(small))
    assert {weight.dtype for weight in large.parameters()} == {torch.float16}


def test_nothing_shrinks(small: Generator) -> None:
    with pytest.raises(SixteenfoldError, match=r"features 6\+5\+4.* cannot grow to features 6\+5\+3"):
        grow(small, GeneratorShape((6, 5, 3), (3, 4), (2, 1)))
