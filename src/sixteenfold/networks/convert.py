"""Checkpoints from elsewhere to ours, without running what they carry.

Source of the authors' names: their published code (RRDBNet_arch.RRDBNetx4x4), read for facts.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import safetensors
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.ordinary import check_ordinary, unreadable
from sixteenfold.networks.records import Record, StoredTensor, UnfitError, shown
from sixteenfold.networks.state import GeneratorShape, build, save, shape_of
from sixteenfold.networks.torchfile import TorchFile, floats_in_float32, open_torch_file

RESULT = "model.safetensors"
"""The name of the weights in folders of our training runs, and of others."""

# What a training program keeps a network under, the preferred first (an average over training before
# the last step's weights); "average" is our checkpoints'.
WRAPPERS = (
    *("params_ema", "g_ema", "ema", "average"),
    *("params", "state_dict", "generator", "netG", "net_g", "model", "weights"),
)
# The most objects searched for them; nobody wraps a network as often.
MOST_WRAPPERS = 32
# What the names of all tensors may begin with.
PREFIXES = ("module.", "_orig_mod.", "model.")
# The same where the file holds other networks beside: only these tensors are taken.
GENERATOR_PREFIXES = ("generator.", "netG.", "net_g.")

AUTHORS_NAMES = {
    "conv_first": "stem",
    "trunk_conv": "first.fuse",
    "upconv1": "up1",
    "upconv2": "up2",
    "HRconv": "bridge",
    "trunk_conv2": "second.fuse",
    "upconv3": "up3",
    "upconv4": "up4",
    "HRconv2": "refine",
    "conv_last": "last",
}
AUTHORS_BLOCK = re.compile(r"RRDB_trunk(2?)\.([0-9]+)\.RDB([1-3])\.conv([1-5])")
# A tensor that marks ESRGAN's x4 network, in each of its three naming schemes.
SINGLE_TRUNK = re.compile(r"RRDB_trunk\.0\.RDB1\.|body\.0\.rdb1\.|(model\.)?1\.sub\.0\.RDB1\.")

# A tensor that marks our discriminator.
DISCRIMINATOR = "encoder_head.weight"

MOST_CHARACTERS = 10_000_000
"""Limit on the names in a pickled module, counting shared parts each time; the full network has 1,300,000."""
DEEPEST_MODULE = 50


def convert(src: Path, dst: Path) -> GeneratorShape:
    """Read a checkpoint of the x16 generator and write it as safetensors, in float32.

    Args:
        src: What `read_checkpoint` reads.
        dst: A name ending in `.safetensors`; its folder is made, an existing file replaced.

    Returns:
        The generator's sizes, read off the tensors.

    Raises:
        SixteenfoldError: If the source cannot be read, is refused or does not fit (the first missing,
            unexpected and misshaped tensors are named), or the target cannot be written.
    """
    generator = build(read_checkpoint(src), src)
    # A file's name may be bytes that are no text, which a header cannot hold.
    save(generator, dst, {"source": src.name.encode(errors="backslashreplace").decode()})
    return shape_of(generator)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a generator's checkpoint, under our names where it uses the authors'.

    Taken are safetensors, and `torch.save`'s files of a state dict or a whole module, alone or inside
    a training program's dictionary (see `WRAPPERS`), with or without `module.` before the names.

    Args:
        path: A file; its content tells the format, not its name.

    Returns:
        Tensors on the CPU, contiguous, none sharing memory with another: floats as float32. Integers keep their
        type, so that `build` refuses them as weights.

    Raises:
        SixteenfoldError: If there are none, or the file is damaged, is a x4 network or a discriminator, or asks for a
            call that tensors do not need. Nothing in the file is ever run.
    """
    try:
        state = _read_safetensors(path)
        if state is None:
            with open_torch_file(path) as file:
                state = {name: file.tensor(stored) for name, stored in find_tensors(file).items()}
    except MemoryError:
        raise SixteenfoldError(f"{path}: does not fit into memory; give a checkpoint of this network") from None
    state = _without_prefixes(state)
    if any(map(SINGLE_TRUNK.match, state)) and "trunk_conv2.weight" not in state:
        raise SixteenfoldError(
            f"{path}: a x4 network (ESRGAN's) with one trunk; the x16 generator has two, "
            "one at x1 and one at x4, and cannot be made from it"
        )
    if DISCRIMINATOR in state:
        raise SixteenfoldError(
            f"{path}: a discriminator, which judges pictures and makes none; give a generator's weights"
        )
    if "conv_first.weight" not in state:
        return state
    renamed = {our_name(name): tensor for name, tensor in state.items()}
    if len(renamed) < len(state):
        raise SixteenfoldError(f"{path}: has some tensors twice, under the authors' names and ours; remove one set")
    return renamed


def our_name(name: str) -> str:
    """Translate the authors' name of a tensor to ours; other names stay as they are."""
    module, _, kind = name.rpartition(".")
    if module in AUTHORS_NAMES:
        return f"{AUTHORS_NAMES[module]}.{kind}"
    block = AUTHORS_BLOCK.fullmatch(module)
    if block is None:
        return name
    trunk = "second" if block[1] else "first"
    return f"{trunk}.blocks.{block[2]}.dense.{int(block[3]) - 1}.convs.{int(block[4]) - 1}.{kind}"


def _read_safetensors(path: Path) -> dict[str, Tensor] | None:
    """The file's tensors, floats as float32; None if it is of another format."""
    try:
        check_ordinary(path, path.stat().st_mode)
        if (path / RESULT).is_file():
            raise SixteenfoldError(f"{path}: is a folder; give the weights in it, {path / RESULT}")
        with path.open("rb") as file:
            start = file.read(9)
        # An eight-byte length, then JSON.
        if start[8:] != b"{":
            return None
        str(path).encode()  # which safetensors would take for damage
        with cast(Any, safetensors.safe_open(path, "pt")) as opened:  # which tells no types
            return {name: _safetensor(opened, name) for name in opened.keys()}  # noqa: SIM118 (it is no mapping)
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeEncodeError:
        raise SixteenfoldError(
            f"{path}: cannot be opened by that name, which is not UTF-8; rename the file, or its folder"
        ) from None
    except UnfitError as error:
        raise SixteenfoldError(f"{path}: {error}; give a checkpoint of this network in float32 or float16") from None
    except safetensors.SafetensorError as error:
        # A type that is newer than the library it takes for a mistake in the header.
        unknown = re.search("unknown variant `([^`]*)`", str(error))
        if unknown is None:
            raise SixteenfoldError(f"{path}: damaged safetensors ({error}); fetch it again") from None
        raise SixteenfoldError(
            f"{path}: stores numbers as {shown(unknown[1])}, which this version of safetensors does not know; "
            "give a checkpoint of this network in float32 or float16"
        ) from None


def _safetensor(file: Any, name: str) -> Tensor:
    """A tensor of an open file, in float32 if it is in floating point at all."""
    try:
        return floats_in_float32(file.get_tensor(name))
    except (safetensors.SafetensorError, TypeError, RuntimeError):
        # Numbers of four or six bits, or a side beyond 2**63.
        kind = file.get_slice(name).get_dtype()
        raise UnfitError(f"has a tensor that cannot be converted to float32, {shown(name)} of type {kind}") from None


def find_tensors(file: TorchFile) -> dict[str, StoredTensor]:
    """The network's tensors in a saved object, by name.

    Raises:
        UnfitError: If there are none, with the names of what there is.
    """
    tensors = _tensors_within(file.content, iter(range(MOST_WRAPPERS)))
    if not tensors:
        held = ", ".join(map(shown, list(_named(file.content))[:5])) or shown(file.content)
        raise UnfitError(f"holds no named tensors of a network, but {held}")
    return tensors


def _tensors_within(value: object, visits: Iterator[int]) -> dict[str, StoredTensor]:
    """Those under the first wrapper that has some, else the object's own: a best score may lie beside it as a tensor.

    Args:
        value: A saved module, or anything.
        visits: Runs out after as many objects as may be looked at.
    """
    if next(visits, None) is None:
        raise UnfitError("wraps dictionaries in dictionaries without end")
    if isinstance(value, Record):
        return _module_tensors(value)
    content = _named(value)
    for name in WRAPPERS:
        if name in content and (found := _tensors_within(content[name], visits)):
            return found
    return {name: item for name, item in content.items() if isinstance(item, StoredTensor)}


def _module_tensors(module: Record) -> dict[str, StoredTensor]:
    """The parameters and buffers of a pickled nn.Module and its children, named as its state_dict would."""
    found: dict[str, StoredTensor] = {}
    pending, characters = [(module, "", 0)], 0
    while pending:
        record, prefix, depth = pending.pop()
        attributes = _named(record.state)
        parameters, buffers, children = (
            _named(attributes.get(f"_{kind}")) for kind in ("parameters", "buffers", "modules")
        )
        # A module may hold itself, or one child under many names.
        characters += 1 + sum(
            len(prefix) + len(name) for part in (attributes, parameters, buffers, children) for name in part
        )
        if depth > DEEPEST_MODULE or characters > MOST_CHARACTERS:
            raise UnfitError("nests modules without end")
        for name, value in (*parameters.items(), *buffers.items()):
            if isinstance(value, StoredTensor):
                found[prefix + name] = value
        for name, child in reversed(children.items()):
            if isinstance(child, Record):
                pending.append((child, f"{prefix}{name}.", depth + 1))
    if not found:
        raise UnfitError(f"holds an object of class {shown(module.name)} without tensors")
    return found


def _named(value: object) -> dict[str, object]:
    """The named entries of a dictionary; none if it is not a dictionary."""
    if not isinstance(value, dict):
        return {}
    return {key: item for key, item in cast(dict[object, object], value).items() if isinstance(key, str)}


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    # PyTorch's AveragedModel, and ours after it, has a count beside its module.
    module = {name: tensor for name, tensor in state.items() if name != "n_averaged"}
    if all(name.startswith("module.") for name in module):
        state = module
    for prefix in GENERATOR_PREFIXES:
        if any(name.startswith(prefix) for name in state):
            state = {name: tensor for name, tensor in state.items() if name.startswith(prefix)}
    for _ in range(3):
        for prefix in PREFIXES + GENERATOR_PREFIXES:
            if all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state
