"""What `upscale` enlarges with, and `evaluate` by the same options."""

from typing import TYPE_CHECKING, Protocol

from sixteenfold.verbs.telling import say

if TYPE_CHECKING:
    from sixteenfold.upscaling.upscaler import Upscaler


class Enlarging(Protocol):
    """The options of a verb that enlarges; as properties, since a verb's are not changed."""

    @property
    def model(self) -> str | None: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def tile(self) -> int | None: ...
    @property
    def fidelity(self) -> float | None: ...
    @property
    def ensemble(self) -> bool: ...
    @property
    def no_consistency(self) -> bool: ...


def make_upscaler(options: Enlarging) -> "Upscaler":
    """The upscaler of a verb's options; what it has to say goes to stderr."""
    from sixteenfold.upscaling.upscaler import Upscaler

    return Upscaler(
        options.model,
        device=options.device,
        precision=options.precision,
        tile=options.tile,
        consistency=not options.no_consistency,
        ensemble=options.ensemble,
        fidelity=options.fidelity,
        say=say,
    )
