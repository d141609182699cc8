"""The generator: the factsheet's counts, its start, and its formula written out once more."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sixteenfold.networks.generator import DenseBlock, Generator, initialize, parameter_count


def test_full_size_has_the_factsheets_parameters() -> None:
    with torch.device("meta"):
        generator = Generator()
    assert parameter_count(generator) == 33_392_451
    assert len(generator.state_dict()) == 1_400


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5)])
def test_output_is_sixteen_times_as_large(height: int, width: int) -> None:
    generator = Generator(features=(6, 8, 4), growth=(3, 4), blocks=(2, 1))
    with torch.inference_mode():
        assert generator(torch.rand(2, 3, height, width)).shape == (2, 3, 16 * height, 16 * width)


def test_one_number_stands_for_every_part() -> None:
    generator = Generator(features=8, growth=4, blocks=(1, 0))
    assert (generator.features, generator.growth, generator.blocks) == ((8, 8, 8), (4, 4), (1, 0))


def test_blocks_start_close_to_doing_nothing() -> None:
    """ESRGAN's small start: at first a dense block adds little to what passes through."""
    torch.manual_seed(0)
    block = DenseBlock(features=16, growth=8)
    initialize(block)
    x = torch.randn(1, 16, 8, 8)
    with torch.inference_mode():
        change = block(x) - x
    assert 0 < change.std() < 0.05
    # Kaiming-normal's deviation for 16 inputs of 3x3, times 0.1
    assert block.state_dict()["convs.0.weight"].std().item() == pytest.approx(0.1 * (2 / (16 * 9)) ** 0.5, rel=0.1)
    assert not block.state_dict()["convs.0.bias"].any()


def plain_generator(state: dict[str, Tensor], lr: Tensor, blocks: tuple[int, int]) -> Tensor:
    """Figure 1 of the factsheet, in functions."""

    def conv(name: str) -> Callable[[Tensor], Tensor]:
        return lambda x: F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def active(name: str, x: Tensor) -> Tensor:
        y = conv(name)(x)
        return torch.where(y > 0, y, 0.2 * y)

    def trunk(name: str, count: int, x: Tensor) -> Tensor:
        y = x
        for i in range(count):
            z = y
            for j in range(3):
                parts = [z]
                for k in range(4):
                    parts.append(active(f"{name}.blocks.{i}.dense.{j}.convs.{k}", torch.cat(parts, 1)))
                z = z + 0.2 * conv(f"{name}.blocks.{i}.dense.{j}.convs.4")(torch.cat(parts, 1))
            y = y + 0.2 * z
        return x + conv(f"{name}.fuse")(y)

    def twice(x: Tensor) -> Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = trunk("first", blocks[0], conv("stem")(lr))
    x = conv("bridge")(active("up2", twice(active("up1", twice(x)))))
    x = trunk("second", blocks[1], x)
    x = active("up4", twice(active("up3", twice(x))))
    return conv("last")(active("refine", x))


def test_equals_the_formula_written_out() -> None:
    torch.manual_seed(1)
    generator = Generator(features=(6, 8, 4), growth=(3, 4), blocks=(2, 1)).double()
    with torch.inference_mode():
        for parameter in generator.parameters():  # large enough that every part counts
            parameter.normal_(std=0.2)
        lr = torch.rand(1, 3, 4, 5, dtype=torch.float64)
        expected = plain_generator(generator.state_dict(), lr, (2, 1))
        torch.testing.assert_close(generator(lr), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "sizes",
    [
        {"features": 0},
        {"features": (8, -1, 8)},
        {"growth": 0},
        {"growth": (4, 0)},
        {"features": 8, "growth": 4, "blocks": (1, -1)},
    ],
)
def test_impossible_sizes_are_refused(sizes: dict) -> None:
    with pytest.raises(ValueError, match="positive"):
        Generator(**sizes)
