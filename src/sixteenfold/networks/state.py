"""A generator's weights as named tensors: derive its shape, build the network, write the file."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.ordinary import check_replaceable
from sixteenfold.files.places import make_folder
from sixteenfold.files.whole import write_whole
from sixteenfold.networks.generator import Generator

BLOCK_TENSORS = 30
"""Of an RRDB: a weight and a bias for each of its fifteen convolutions."""


@dataclass(frozen=True)
class GeneratorShape:
    """The sizes that make a generator; the arguments of `Generator`."""

    features: tuple[int, int, int] = (64, 64, 64)
    """Widths of the first trunk (x1), the second trunk (x4) and the last layers (x8 and x16)."""
    growth: tuple[int, int] = (32, 32)
    """Channels each inner convolution of a dense block adds, in the first and the second trunk."""
    blocks: tuple[int, int] = (23, 23)
    """Number of RRDB in the first and the second trunk."""

    def build(self) -> Generator:
        """A new generator of these sizes, with ESRGAN's random start."""
        return Generator(self.features, self.growth, self.blocks)

    def __str__(self) -> str:
        features, growth, blocks = ("+".join(map(str, sizes)) for sizes in (self.features, self.growth, self.blocks))
        return f"features {features}, growth {growth}, blocks {blocks}"


def shape_of(generator: Generator) -> GeneratorShape:
    """The sizes that a generator was made with."""
    return GeneratorShape(generator.features, generator.growth, generator.blocks)


def shape_from_state(state: Mapping[str, Tensor]) -> GeneratorShape:
    """Derive a generator's sizes from its tensors.

    Never fails: where a tensor that tells a size is absent or odd, the size is the full network's
    (growth of a trunk without blocks too, where it has no meaning), and `build` then says what does
    not fit.

    Args:
        state: Tensors under `Generator.state_dict`'s names.
    """
    full = GeneratorShape()

    def outputs(name: str, otherwise: int) -> int:
        tensor = state.get(name)
        return tensor.shape[0] if tensor is not None and tensor.ndim and tensor.shape[0] else otherwise

    def count(trunk: str) -> int:
        found = {match[1] for name in state if (match := re.match(rf"{trunk}\.blocks\.([0-9]{{1,6}})\.", name))}
        # A stray high index must not make us build a network larger than the file.
        return min(max(map(int, found), default=-1) + 1, len(state) // BLOCK_TENSORS)

    def growth(trunk: str, otherwise: int) -> int:
        return outputs(f"{trunk}.blocks.0.dense.0.convs.0.weight", otherwise)

    return GeneratorShape(
        features=(
            outputs("stem.weight", full.features[0]),
            outputs("bridge.weight", full.features[1]),
            outputs("refine.weight", full.features[2]),
        ),
        growth=(growth("first", full.growth[0]), growth("second", full.growth[1])),
        blocks=(count("first"), count("second")),
    )


def build(state: Mapping[str, Tensor], source: Path) -> Generator:
    """A generator in eval mode that holds exactly these tensors; they are not copied.

    Args:
        state: Tensors as `read_checkpoint` gives them, under `Generator.state_dict`'s names.
        source: The file they are from, for messages.

    Raises:
        SixteenfoldError: If a tensor is missing, unexpected, of another shape, not in floating point or not finite;
            the first of each is named.
    """
    shape = shape_from_state(state)
    try:
        with torch.device("meta"):
            generator = shape.build()
    except RuntimeError:  # An empty tensor can have a side of any length.
        raise _misfit(source, shape, "no tensor can be that large") from None
    differences = _differences(state, generator.state_dict())
    if differences:
        raise _misfit(source, shape, "; ".join(differences))
    for name, tensor in state.items():
        if tensor.dtype != torch.float32:
            raise SixteenfoldError(
                f"{source}: {name!r} is of type {tensor.dtype}, not floating point; "
                "give a checkpoint of this network in float32 or float16"
            )
        if not tensor.isfinite().all():
            raise SixteenfoldError(f"{source}: damaged, {name!r} has infinite or NaN values; use another")
    generator.load_state_dict(state, assign=True)
    return generator.eval()


def _misfit(source: Path, shape: GeneratorShape, why: str) -> SixteenfoldError:
    return SixteenfoldError(
        f"{source}: does not fit a x16 generator ({shape}): {why}; give a checkpoint of this network"
    )


def _differences(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in wanted if name not in state]
    unexpected = [name for name in state if name not in wanted]
    misshaped = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    found: list[str] = []
    if missing:
        found.append(f"{len(missing)} missing, first {missing[0]!r}")
    if unexpected:
        found.append(f"{len(unexpected)} unexpected, first {unexpected[0]!r}")
    if misshaped:
        first = misshaped[0]
        sizes = f"{tuple(state[first].shape)}, not {tuple(wanted[first].shape)}"
        found.append(f"{len(misshaped)} of another shape, first {first!r} ({sizes})")
    return found


def digest(generator: Generator) -> str:
    """SHA-256 of a generator's weights, in hexadecimal: of their names and bytes, whatever file they came from."""
    found = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        found.update(name.encode() + tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def save(generator: Generator, path: Path, metadata: dict[str, str], dtype: torch.dtype = torch.float32) -> None:
    """Write a generator's weights as safetensors, whole or not at all.

    Args:
        generator: On any device, in any memory format.
        path: A name ending in `.safetensors`; its folder is made, an existing file replaced.
        metadata: Kept in the file's header, beside `shape` (JSON), which is added.
        dtype: How the numbers are stored; float16 halves the file. Loading always gives float32.

    Raises:
        SixteenfoldError: If the name ends otherwise or is a pipe's, the file cannot be written, or a weight is not
            finite in that type.
    """
    if path.suffix != ".safetensors":
        raise SixteenfoldError(f"{path}: weights are written as safetensors; end the name in .safetensors")
    state = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in generator.state_dict().items()}
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise SixteenfoldError(f"{path}: not written, {name!r} has values that are not finite in {dtype}")
    shape = json.dumps(asdict(shape_of(generator)))
    check_replaceable(path)
    make_folder(path)
    try:
        write_whole(path, _in_order(safetensors.torch.save(state, {**metadata, "shape": shape})))
    except OSError as error:
        way = "mend that or choose another place"
        raise SixteenfoldError(f"{path}: cannot be written ({error.strerror}); {way}") from None


def _in_order(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted, which the library leaves in an order of the moment.

    So equal weights are equal files, whose hashes can be compared.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format wants the numbers behind it aligned
    return len(text).to_bytes(8, "little") + text + content[end:]
