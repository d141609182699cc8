"""On a GPU: what makes a step faster there changes nothing but rounding. Written where there was none to run it on."""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.fabric import Fabric

from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import RRDB, Generator
from sixteenfold.networks.layout import place
from sixteenfold.training.config import AdversarialPhase, DataConfig, PixelPhase
from sixteenfold.training.data import Batch
from sixteenfold.training.loop import train
from sixteenfold.training.speedup import compiled, graph
from sixteenfold.training.steps import Learner, PerceptualNetworks, adversarial_step, pixel_step

from . import conftest

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # What a version of PyTorch warns of on its way to a graph or a program is not in question.
    pytest.mark.filterwarnings("default"),
]
PIXEL = PixelPhase(batch=2, patch=64, loss="l1", gradient_clip=1.0, projected=True)
ADVERSARIAL = AdversarialPhase(batch=2, patch=64, lpips=0.0, adversarial=0.1, discriminator=(4,) * 6, gradient_clip=1.0)
STEPS = 4


@pytest.fixture
def fabric() -> Iterator[Fabric]:
    """With convolutions that are exact to fp32 and repeat themselves, so that what is left is the speedup's."""
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield Fabric(accelerator="cuda", devices=1)


@pytest.fixture
def generator() -> Generator:
    """With larger weights than a training begins with, so that what a step does depends on what it sees."""
    torch.manual_seed(0)
    made = Generator((8, 8, 8), (4, 4), (2, 1))
    for parameter in made.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)
    return made


def batches(fabric: Fabric) -> list[Batch]:
    """Another for each step, so that a result or gradient that is left over from the step before would show."""
    random = torch.Generator().manual_seed(5)
    made: list[Batch] = []
    for _ in range(STEPS):
        lr, hr = (torch.rand(2, 3, side, side, generator=random) for side in (4, 64))
        made.append(Batch(lr, hr).to(fabric.device))
    return made


def learner(fabric: Fabric, network: torch.nn.Module) -> Learner:
    """Laid out as a run has it."""
    place(network, fabric.device)
    return Learner(*fabric.setup(network, torch.optim.SGD(network.parameters(), 0.05)))


def flat(network: torch.nn.Module) -> torch.Tensor:
    """All weights in a row, whatever their layout."""
    return torch.cat([parameter.detach().cpu().flatten() for parameter in network.parameters()])


def weights_after(fabric: Fabric, network: Generator, speedup: Callable[[Learner], Learner]) -> torch.Tensor:
    """As some pixel steps leave them."""
    generator = speedup(learner(fabric, network))
    for batch in batches(fabric):
        pixel_step(fabric, generator, [batch], PIXEL)
    return flat(network)


def test_a_graphed_step_is_the_step(fabric: Fabric, generator: Generator) -> None:
    start, twin = flat(generator), copy.deepcopy(generator)
    plain = weights_after(fabric, generator, lambda generator: generator)
    fast = weights_after(fabric, twin, lambda generator: graph(generator, PIXEL, fabric))
    assert (plain - fast).norm() < 0.01 * (plain - start).norm()


def test_compiled_networks_learn_the_same(fabric: Fabric, generator: Generator) -> None:
    """Compiled in earnest, where the test on a CPU only traces."""
    discriminator = UNetDiscriminator((4,) * 6)
    seen: list[list[dict[str, float]]] = []
    for fast in (False, True):
        networks = copy.deepcopy(generator), copy.deepcopy(discriminator)
        with compiled(*networks) if fast else nullcontext():
            first, second = (learner(fabric, network) for network in networks)
            steps = [
                adversarial_step(fabric, first, second, PerceptualNetworks(), [batch], ADVERSARIAL, None)
                for batch in batches(fabric)
            ]
        seen.append([{name: value.item() for name, value in step.items()} for step in steps])
        assert all(block._compiled_call_impl is None for block in networks[0].modules() if isinstance(block, RRDB))
    for plain, fast in zip(*seen, strict=True):
        assert plain == pytest.approx(fast, rel=0.01)


@pytest.mark.parametrize(("way", "memory"), [("graph", 8.0), ("graph and compiled", 1e-4)])
def test_a_run_is_that_of_a_cpu(
    way: str, memory: float, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both phases as a session has them, killed and gone on with; its photographs on the device, then in a window."""
    both: dict[str, Any] = {"steps": 14, "projected": True, "ema_decay": 0.9, "gradient_clip": 1.0}
    seen: dict[str, Any] = {"lpips_shift": 2, "lpips_scales": (1.0, 0.5), "lpips_turned": True}
    config = dataclasses.replace(
        conftest.BOTH,
        pixel=dataclasses.replace(conftest.PIXEL, **both),
        adversarial=dataclasses.replace(conftest.ADVERSARIAL, **both, **seen, head_start=2),
        data=DataConfig(memory=memory, scales=(1.0, 0.5)),
        validate_every=14,
        save_every=20,
        log_every=14,  # more often, and no losses would wait on the device
    )
    begin = partial(train, config, hr=[photographs], val=photographs)
    begin(out=tmp_path / "plain", device="cpu")
    fast = partial(
        begin, device="cuda", precision="bf16", graph=True, compiled="compiled" in way, out=tmp_path / "fast"
    )
    conftest.cut_after(22, monkeypatch)
    with pytest.raises(conftest.Killed):
        fast()
    monkeypatch.undo()
    fast(resume=True)
    on_cpu, on_gpu = (
        [{name: value for name, value in row.items() if name not in ("time", "group")} for row in conftest.rows(run)]
        for run in (tmp_path / "plain", tmp_path / "fast")
    )
    assert len(on_cpu) == 4  # of each phase its losses and the validation at its end
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert one == pytest.approx(other, rel=0.1)
