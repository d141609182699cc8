"""What moves a network's weights along their gradients: Adam, and Muon."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam as adam_step

from sixteenfold.kernels.exact import true_fp32

OptimizerName = Literal["adam", "muon"]
RMS = 0.2
"""Of Muon's step at a learning rate of 1: what Adam's steps about have, so that learning rates are alike."""
MOMENTUM = 0.95
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the Newton-Schulz polynomial: as steep at zero as one can be that keeps singular values within 0.7 to 1.2."""


def make_optimizer(
    name: OptimizerName, network: nn.Module, learning_rate: float, betas: tuple[float, float]
) -> Optimizer:
    """An optimizer of all of a network's weights, which remembers its learning rate as the phase's highest ("peak").

    Args:
        name: Adam, or `Muon`.
        network: What learns. On a CPU or a CUDA device one pass over the weights does all of Adam's step.
        learning_rate: The step size.
        betas: Adam's decay rates.
    """
    parameters = list(network.parameters())
    fused = parameters[0].device.type in ("cpu", "cuda")
    if name == "adam":
        return torch.optim.Adam([{"params": parameters, "peak": learning_rate}], learning_rate, betas, fused=fused)
    convs = [parameter for parameter in parameters if _is_inner(parameter)]
    others = [parameter for parameter in parameters if not _is_inner(parameter)]
    return Muon(convs, others, learning_rate, betas, fused=fused)


def set_learning_rate(optimizer: Optimizer, share: float) -> None:
    """Change the step size to a share of the highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def restore_optimizer(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """Take over what a checkpoint holds of an optimizer, but for the way to compute, which is this device's."""
    groups = [
        group | {"fused": own["fused"]}
        for group, own in zip(state["param_groups"], optimizer.param_groups, strict=True)
    ]
    optimizer.load_state_dict(state | {"param_groups": groups})


def _is_inner(parameter: Tensor) -> bool:
    """Whether it is the weight of a convolution from features to features, not from or to pixels."""
    return parameter.ndim == 4 and min(parameter.shape[:2]) > 3


class Muon(Optimizer):
    """Muon for the weights of inner convolutions, Adam for all else: biases, and the layers that meet pixels.

    A step follows the momentum with all its singular values brought near 1: what only few crops ask of a layer is
    learned as fast as what all ask. A weight (O, I, K, K) counts as the matrix (O, K K I) that it is where patches are
    columns, which in channels-last layout is how it lies in memory. PyTorch's own Muon takes matrices alone, one after
    the other; here all of one shape are one batch, which on a GPU is a fraction of the calls.

    Sources: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the size of a step:
    J. Liu et al., "Muon is scalable for LLM training", arXiv:2502.16982, section 2.2.

    Args:
        convs: Weights of inner convolutions.
        others: All other weights.
        learning_rate: The step size of both, and the "peak" of both groups.
        betas: Adam's decay rates.
        fused: Whether Adam's step is one pass.
    """

    def __init__(
        self,
        convs: Sequence[nn.Parameter],
        others: Sequence[nn.Parameter],
        learning_rate: float,
        betas: tuple[float, float],
        *,
        fused: bool,
    ) -> None:
        groups = [{"params": list(convs)}, {"params": list(others)}]
        super().__init__(groups, {"lr": learning_rate, "peak": learning_rate, "betas": betas, "fused": fused})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move all weights that have a gradient. There is no closure to call."""
        convs, others = self.param_groups
        self._move_convs(convs)
        self._move_others(others)

    def _move_convs(self, group: dict[str, Any]) -> None:
        alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for weight in _with_gradient(group):
            alike[weight.shape].append(weight)
        for weights in alike.values():
            momenta = torch.stack([momentum.permute(0, 2, 3, 1) for momentum in self._advance_momenta(weights)])
            steps = orthogonalized(momenta.flatten(2))
            size = RMS * max(steps.shape[1:]) ** 0.5
            ways = list[Tensor](steps.view_as(momenta).permute(0, 1, 4, 2, 3))
            torch._foreach_add_(list[Tensor](weights), ways, alpha=-group["lr"] * size)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    def _advance_momenta(self, weights: Sequence[nn.Parameter]) -> list[Tensor]:
        """Take the newest gradients into the weights' momenta; Nesterov's, which have them once more."""
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["momentum_buffer"] = torch.zeros_like(weight)
        momenta: list[Tensor] = [self.state[weight]["momentum_buffer"] for weight in weights]
        gradients = [_gradient(weight) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
        return list(torch._foreach_lerp(gradients, momenta, MOMENTUM))  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    def _move_others(self, group: dict[str, Any]) -> None:
        weights = _with_gradient(group)
        for weight in weights:
            if not self.state[weight]:
                where = weight.device if group["fused"] else torch.device("cpu")
                self.state[weight] = {
                    "step": torch.zeros((), dtype=torch.float32, device=where),
                    "exp_avg": torch.zeros_like(weight),
                    "exp_avg_sq": torch.zeros_like(weight),
                }
        states = [self.state[weight] for weight in weights]
        adam_step(
            list(weights),
            [_gradient(weight) for weight in weights],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            fused=group["fused"],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )


@true_fp32()
def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices of the same singular vectors, whose singular values are near 1 unless they were nearly 0. (N, R, C).

    Each iteration multiplies by a polynomial of the Gram matrix. The polynomials are multiplied first, being small
    squares that commute, so that the wide matrices are read twice in all, and not three times an iteration. A Gram
    matrix has the squares of singular values, hence true float32.
    """
    if matrices.shape[1] > matrices.shape[2]:
        return orthogonalized(matrices.mT).mT
    a, b, c = COEFFICIENTS
    gram = matrices @ matrices.mT
    norms = gram.diagonal(dim1=1, dim2=2).sum(1)[:, None, None].sqrt().clamp(min=1e-7)
    gram = gram / norms.square()
    identity = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    product = identity / norms
    for _ in range(ITERATIONS):
        polynomial = a * identity + b * gram + c * gram @ gram
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    return product @ matrices


def _with_gradient(group: dict[str, Any]) -> list[nn.Parameter]:
    return [parameter for parameter in group["params"] if parameter.grad is not None]


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
