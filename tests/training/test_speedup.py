"""Compiled networks learn the same, and nothing stays compiled afterwards."""

import copy
import dataclasses

import pytest
import torch
from lightning.fabric import Fabric

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import RRDB, Generator
from sixteenfold.training.config import AdversarialPhase, PixelPhase, TrainConfig
from sixteenfold.training.data import Batch
from sixteenfold.training.speedup import check_graph, compiled
from sixteenfold.training.steps import Learner, PerceptualNetworks, adversarial_step

PHASE = AdversarialPhase(patch=64, lpips=0.0, adversarial=0.1, discriminator=(4,) * 6)


def losses(fabric: Fabric, generator: Generator, discriminator: UNetDiscriminator) -> list[dict[str, float]]:
    first, second = (
        Learner(*fabric.setup(network, torch.optim.SGD(network.parameters(), 1e-2)))
        for network in (generator, discriminator)
    )
    random = torch.Generator().manual_seed(5)
    batch = Batch(torch.rand(2, 3, 4, 4, generator=random), torch.rand(2, 3, 64, 64, generator=random))
    steps = [adversarial_step(fabric, first, second, PerceptualNetworks(), [batch], PHASE, None) for _ in range(2)]
    return [{name: value.item() for name, value in step.items()} for step in steps]


# What dynamo looks at in tracing, PyTorch warns of; with warnings as errors dynamo would stop.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")
@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0")
def test_compiled_networks_learn_the_same() -> None:
    """By the tracing of torch.compile alone: its C++ takes half a minute to build and changes only rounding."""
    fabric = Fabric(accelerator="cpu", devices=1)
    torch.manual_seed(0)
    networks = Generator((4, 4, 4), (4, 4), (2, 1)), UNetDiscriminator((4,) * 6)
    generator, discriminator = copy.deepcopy(networks)
    plain = losses(fabric, *networks)
    traced: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        traced.append(graph)
        return graph

    with compiled(generator, discriminator, backend=backend):
        fast = losses(fabric, generator, discriminator)
    # The blocks of a trunk share a program: one for each trunk, and those of the discriminator.
    convolutions = [sum(node.op == "call_function" for node in graph.graph.nodes) for graph in traced]
    assert 3 <= len(convolutions) <= 6
    for a, b in zip(plain, fast, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    assert all(block._compiled_call_impl is None for block in generator.modules() if isinstance(block, RRDB))
    assert generator.state_dict().keys() == networks[0].state_dict().keys()


def test_no_graph_without_a_gpu() -> None:
    with pytest.raises(SixteenfoldError, match=r"^graph: a CUDA graph needs a CUDA device, not cpu"):
        check_graph(Fabric(accelerator="cpu", devices=1), TrainConfig(pixel=dataclasses.replace(PixelPhase(), batch=4)))
