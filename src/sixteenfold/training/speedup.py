"""Networks made faster for a GPU: compiled blocks, and a whole forward and backward pass as one CUDA graph."""

import gc
from collections.abc import Callable, Generator as Generating
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch._functorch import config as functorch_config

from sixteenfold.errors import SixteenfoldError, is_out_of_memory
from sixteenfold.imaging.resample import SCALE
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import RRDB, Generator
from sixteenfold.training.config import TrainConfig
from sixteenfold.training.phases import Phase
from sixteenfold.training.steps import Learner

VARIANTS = 32
"""Versions of one function that are compiled at most: each size, and with or without gradients."""


def check_graph(fabric: Fabric, config: TrainConfig) -> None:
    """Raise SixteenfoldError if there can be no CUDA graph."""
    if fabric.device.type != "cuda":
        raise SixteenfoldError(f"graph: a CUDA graph needs a CUDA device, not {fabric.device}")
    if fabric.world_size > 1:
        raise SixteenfoldError("graph: works in one process only; leave it out")
    # A graph writes each gradient to one place: a second part's would replace the first's.
    if any(phase is not None and phase.accumulation > 1 for phase in (config.pixel, config.adversarial)):
        raise SixteenfoldError("graph: works with accumulation of 1 only; leave it out, or set accumulation to 1")


@contextmanager
def compiled(
    generator: Generator, discriminator: UNetDiscriminator | None, backend: str | Callable[..., Any] = "inductor"
) -> Generating[None]:
    """Compile each residual block of the generator and the whole discriminator, where they stand.

    Block by block, because all RRDB of a trunk are then one program: the whole network, unrolled, takes minutes.
    Names of weights stay, copies are not compiled, and after the context nothing is.

    Args:
        generator: Its second to last blocks reuse what was compiled for the first.
        discriminator: None where there is none.
        backend: As of torch.compile.

    Raises:
        SixteenfoldError: If what torch.compile translates them with fails, as where there is no C++ compiler. That is
            known when they are first called, within the context.
    """
    from torch._dynamo.exc import ShortenTraceback  # here, as the import takes seconds

    modules: list[nn.Module] = [module for module in generator.modules() if isinstance(module, RRDB)]
    modules += [] if discriminator is None else [discriminator]
    with (
        torch._dynamo.config.patch(recompile_limit=VARIANTS),  # pyright: ignore[reportPrivateUsage]
        # A step goes backward through the discriminator twice: the first pass must leave what the second needs.
        # From PyTorch 2.13 on settings are one thread's own, and on a GPU another goes backward. There the order of the
        # passes keeps it from raising: what is compiled in a pass that retains its graph donates nothing.
        functorch_config.patch(donated_buffer=False),
    ):
        for module in modules:
            module.compile(backend=backend, dynamic=False)
        try:
            yield
        # The compiler's own failures alone: what is wrong with a network is raised while it is traced, by other names.
        except ShortenTraceback as error:
            if is_out_of_memory(error):
                raise
            raise SixteenfoldError(
                f"compile: torch.compile has failed ({_reason(error)}); "
                "install what is missing, or go on with --resume and without compile"
            ) from error
        finally:
            for module in modules:
                module._compiled_call_impl = None  # pyright: ignore[reportPrivateUsage]


def _reason(error: Exception) -> str:
    """The line of a compiler's failure that names the cause: of what it printed the first that speaks of an error."""
    cause = getattr(error, "inner_exception", error)
    first, *printed = f"{type(cause).__name__}: {cause}".splitlines()
    told = (line.strip() for line in printed if "error:" in line or "cannot find" in line)
    return next(told, first)


class Graphed(nn.Module):
    """A network whose forward and backward passes are each one CUDA graph, for inputs of one size.

    A module of its own, so that the network itself keeps its plain `forward` for whatever else uses it.
    """

    def __init__(self, network: nn.Module, fabric: Fabric) -> None:
        super().__init__()
        self.module = network
        self._fabric = fabric

    def forward(self, lr: Tensor) -> Tensor:
        """As the network's, in the run's precision; the result is fp32."""
        with self._fabric.autocast():
            result: Tensor = self.module(lr)
        return result.float()


class Fresh(nn.Module):
    """Gives each result memory of its own: a graph writes all of them to one place."""

    def __init__(self, graphed: Any, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._graphed = [graphed]  # in a list: its weights are those of `module`, and are not to be counted twice

    def forward(self, lr: Tensor) -> Tensor:
        """As the network's."""
        result: Tensor = self._graphed[0](lr)
        return result.clone()


def graph(generator: Learner, phase: Phase, fabric: Fabric) -> Learner:
    """The same with its network captured for batches of the phase's size."""
    side = phase.patch // SCALE
    sample = torch.zeros(phase.batch, 3, side, side, device=fabric.device)
    sample = sample.contiguous(memory_format=torch.channels_last)
    # The phase before may have left a graph in a cycle of references: its memory is wanted, and it must not be
    # collected while another is captured.
    gc.collect()
    graphed = torch.cuda.make_graphed_callables(Graphed(generator.module, fabric), (sample,))
    generator.optimizer.zero_grad()
    return Learner(Fresh(graphed, generator.module), generator.optimizer)
