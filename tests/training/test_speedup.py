"""Compiled networks learn the same, and nothing stays compiled afterwards."""

import copy
import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from lightning.fabric import Fabric
from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import RRDB, Generator
from sixteenfold.training import course
from sixteenfold.training.config import AdversarialPhase, PixelPhase, TrainConfig
from sixteenfold.training.data import Batch
from sixteenfold.training.loop import train
from sixteenfold.training.speedup import check_graph, compiled
from sixteenfold.training.steps import Learner, PerceptualNetworks, adversarial_step, head_start_step

from .conftest import CONFIG

# What dynamo looks at in tracing, PyTorch warns of; with warnings as errors dynamo would stop.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0"),
]
PHASE = AdversarialPhase(patch=64, lpips=0.0, adversarial=0.1, discriminator=(4,) * 6, cutmix=1.0)


def losses(fabric: Fabric, generator: Generator, discriminator: UNetDiscriminator) -> list[dict[str, float]]:
    first, second = (
        Learner(*fabric.setup(network, torch.optim.SGD(network.parameters(), 1e-2)))
        for network in (generator, discriminator)
    )
    random = torch.Generator().manual_seed(5)
    batch = Batch(torch.rand(2, 3, 4, 4, generator=random), torch.rand(2, 3, 64, 64, generator=random))
    steps = [adversarial_step(fabric, first, second, PerceptualNetworks(), [batch], PHASE, None) for _ in range(2)]
    return [{name: value.item() for name, value in step.items()} for step in steps]


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


def test_compiled_networks_go_backward_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, where what is patched of PyTorch's settings does not hold; see `compiled`."""
    backward, pool = torch.Tensor.backward, ThreadPoolExecutor(1)
    monkeypatch.setattr(torch.Tensor, "backward", lambda *args, **how: pool.submit(backward, *args, **how).result())
    fabric = Fabric(accelerator="cpu", devices=1)
    networks = Generator((4, 4, 4), (4, 4), (1, 1)), UNetDiscriminator((4,) * 6)
    with compiled(*networks, backend="aot_eager"), pool:
        first, second = (Learner(*fabric.setup(one, torch.optim.SGD(one.parameters(), 1e-2))) for one in networks)
        batch = Batch(torch.rand(1, 3, 4, 4), torch.rand(1, 3, 64, 64))
        mask = torch.ones(1, 1, 64, 64, dtype=torch.bool)
        seen = [head_start_step(fabric, first, second, [batch], PHASE)]
        for shown in (None, mask):
            seen.append(adversarial_step(fabric, first, second, PerceptualNetworks(), [batch], PHASE, shown))
    assert all(value.isfinite() for losses in seen for value in losses.values())


class Failing:
    """Stands for the compiler that torch.compile calls."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.__name__ = "failing"

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            InvalidCxxCompiler(),
            r"compile: torch\.compile has failed \(InvalidCxxCompiler: No working C\+\+ compiler .*\); .*",
        ),
        (
            CppCompileError(["c++", "a.cpp"], "a.cpp:1:10: fatal error: Python.h: No such file\n1 error generated."),
            r"compile: torch\.compile has failed \(a\.cpp:1:10: fatal error: Python\.h: No such file\); .*",
        ),
        (
            CppCompileError(["c++", "a.cpp"], "ld: cannot find -lgomp\ncollect2: error: ld returned 1 exit status"),
            r"compile: torch\.compile has failed \(ld: cannot find -lgomp\); .*",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory: .*"),
    ],
    ids=["no compiler", "half a compiler", "no library", "memory"],
)
def test_a_compiler_that_fails_is_told_in_a_line(
    error: Exception, said: str, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = partial(train, CONFIG, hr=photographs, out=tmp_path / "run", device="cpu")
    monkeypatch.setattr(course, "compiled", partial(compiled, backend=Failing(error)))
    with pytest.raises(SixteenfoldError, match=f"^{said}$"):
        begun(compiled=True)


def test_what_is_wrong_with_a_network_is_not_laid_at_the_compiler_s_door() -> None:
    generator = Generator((4, 4, 4), (4, 4), (1, 1))
    with (
        pytest.raises(RuntimeError, match="channels") as raised,
        compiled(generator, None, backend="eager"),
    ):
        next(block for block in generator.modules() if isinstance(block, RRDB))(torch.rand(1, 5, 4, 4))
    assert not isinstance(raised.value, SixteenfoldError)


def test_no_graph_without_a_gpu() -> None:
    with pytest.raises(SixteenfoldError, match=r"^graph: a CUDA graph needs a CUDA device, not cpu"):
        check_graph(Fabric(accelerator="cpu", devices=1), TrainConfig(pixel=dataclasses.replace(PixelPhase(), batch=4)))
