"""What moves the weights: Muon against PyTorch's own and Adam's, and what its steps promise."""

import pytest
import torch
from torch import nn

from sixteenfold.networks.generator import Generator
from sixteenfold.training.optimizers import make_optimizer, orthogonalized

RATE, BETAS = 1e-2, (0.9, 0.99)


class Layers(nn.Module):
    """From pixels to features, from features to features, wide and high, and back."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.convs = nn.ModuleList(nn.Conv2d(*channels, 3) for channels in ((3, 8), (8, 40), (8, 40), (4, 90), (8, 3)))
        self.down = nn.Conv2d(5, 60, 1)


def gradients(network: nn.Module, step: int) -> None:
    """Give each weight the gradient that it has at that step, of a size of its own."""
    random = torch.Generator().manual_seed(step)
    for size, parameter in enumerate(network.parameters(), 1):
        parameter.grad = size * torch.randn(parameter.shape, generator=random)


def test_muon_is_pytorch_s_and_adam_s() -> None:
    """PyTorch's takes a matrix for each weight, and computes in bf16."""
    network, other = Layers(), Layers()
    optimizer = make_optimizer("muon", network, RATE, BETAS)
    inner = [
        module.weight
        for module in other.modules()
        if isinstance(module, nn.Conv2d) and 3 not in module.weight.shape[:2]
    ]
    outer = [parameter for parameter in other.parameters() if all(parameter is not weight for weight in inner)]
    matrices = [nn.Parameter(weight.detach().flatten(1).clone()) for weight in inner]
    muon = torch.optim.Muon(matrices, RATE, weight_decay=0.0, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.Adam(outer, RATE, BETAS)
    start = [matrix.detach().clone() for matrix in matrices]
    for step in range(4):
        gradients(network, step)
        gradients(other, step)
        for matrix, weight in zip(matrices, inner, strict=True):
            assert weight.grad is not None
            matrix.grad = weight.grad.flatten(1)
        optimizer.step()
        muon.step()
        adam.step()
    own = dict(network.named_parameters())
    for name, parameter in other.named_parameters():
        if any(parameter is weight for weight in inner):
            continue
        torch.testing.assert_close(own[name], parameter)
    moved = [own[name] for name, parameter in other.named_parameters() if any(parameter is weight for weight in inner)]
    assert len(moved) == len(matrices) == 4
    for weight, matrix, before in zip(moved, matrices, start, strict=True):
        way, expected = weight.flatten(1) - before, matrix - before
        assert torch.linalg.norm(way - expected) < 0.02 * torch.linalg.norm(expected)


@pytest.mark.parametrize("shape", [(3, 20, 90), (2, 90, 20), (1, 30, 30)])
def test_singular_values_are_brought_near_one(shape: tuple[int, int, int]) -> None:
    """Of whatever scale; the directions stay."""
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = orthogonalized(1e-3 * matrices)
    assert result.shape == shape
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.linalg.svdvals(result)
    clear = s > 0.1 * s.amax(dim=1, keepdim=True)
    assert values[clear.sort(dim=1, descending=True)[0]].sub(1).abs().max() < 0.4
    between = u.mT @ result @ vh.mT
    assert (between - torch.diag_embed(between.diagonal(dim1=1, dim2=2))).abs().max() < 1e-6


@pytest.mark.parametrize("size", [1.0, 1e-6])
@pytest.mark.parametrize("shape", [(20, 90), (90, 20), (20, 20)])
def test_all_but_the_least_singular_values_end_between_0_7_and_1_2(shape: tuple[int, int], size: float) -> None:
    """Of matrices of any size; one of zeros beside them stays so."""
    random = torch.Generator().manual_seed(3)
    u, _, vh = torch.linalg.svd(torch.randn(shape, generator=random), full_matrices=False)
    matrix = size * u @ torch.diag(torch.logspace(0, -2.3, 20)) @ vh
    result = orthogonalized(torch.stack((matrix, torch.zeros(shape))))
    values = torch.linalg.svdvals(result[0])
    assert values.min() > 0.68 and values.max() < 1.21
    assert not result[1].any()


def test_a_convolution_s_step_is_that_of_the_matrix_of_its_patches() -> None:
    """Its singular values, too, are 0.7 to 1.2 times the size that Muon gives them."""
    for conv in (nn.Conv2d(8, 40, 3), nn.Conv2d(5, 60, 1)):
        optimizer = make_optimizer("muon", conv, RATE, BETAS)
        before = conv.weight.detach().clone()
        gradients(conv, 0)
        optimizer.step()
        step = (conv.weight.detach() - before).flatten(1)
        values = torch.linalg.svdvals(step) / (RATE * 0.2 * max(step.shape) ** 0.5)
        assert values.min() > 0.68 and values.max() < 1.21


def test_float32_is_enough_for_singular_values_far_apart() -> None:
    """Of one millionth of the largest, too: their squares are below float32's rounding of it."""
    random = torch.Generator().manual_seed(2)
    u, _, vh = torch.linalg.svd(torch.randn(2, 30, 90, generator=random, dtype=torch.float64), full_matrices=False)
    matrices = u @ torch.diag_embed(torch.logspace(0, -6, 30, dtype=torch.float64).expand(2, 30)) @ vh
    exact = orthogonalized(matrices)
    result = orthogonalized(matrices.float())
    assert torch.linalg.norm(result - exact) < 1e-3 * torch.linalg.norm(exact)


def test_a_weight_without_gradient_stays_and_none_divides_by_zero() -> None:
    network = Generator(features=8, growth=4, blocks=(1, 1))
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    optimizer = make_optimizer("muon", network, RATE, BETAS)
    optimizer.step()
    network.up1.weight.grad = torch.zeros_like(network.up1.weight)
    optimizer.step()
    assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
