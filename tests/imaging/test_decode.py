"""Orientation, colour, metadata, and samples of no use. Kept samples: test_formats."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image as Pillow, ImageCms
from skimage import data

from sixteenfold.errors import SixteenfoldError
from sixteenfold.imaging.read import read

PHOTO: np.ndarray = np.ascontiguousarray(data.astronaut()[100:140, 180:240])  # 40 x 60


@pytest.fixture(autouse=True)
def silent(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def refused(path: Path, words: str) -> None:
    with pytest.raises(SixteenfoldError, match=words) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and ";" in message


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, orientation: int) -> None:
    """As libvips itself turns it, through code that is not ours."""
    tag = Pillow.Exif()
    tag[0x0112] = orientation
    path = tmp_path / "a.png"
    Pillow.fromarray(PHOTO).save(path, exif=tag.tobytes(), dpi=(300, 150))
    image = read(path)
    assert np.array_equal(image.pixels, pyvips.Image.new_from_file(str(path)).autorot().numpy())
    block = Pillow.Exif()
    block.load(image.metadata.exif or b"")
    assert block[0x0112] == 1
    assert image.notes == (() if orientation == 1 else ("turned upright as its orientation tag says",))
    wanted = (300, 150) if orientation < 5 else (150, 300)
    assert (image.metadata.xres * 25.4, image.metadata.yres * 25.4) == pytest.approx(wanted, rel=1e-3)


def test_orientation_in_xmp_is_reset(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Pillow.fromarray(PHOTO).save(path, xmp=b"<r tiff:Orientation='6'/><tiff:Orientation>8</tiff:Orientation>")
    wanted = b"<r tiff:Orientation='1'/><tiff:Orientation>1</tiff:Orientation>"
    assert read(path).metadata.xmp == wanted


def profile(name: str) -> bytes:
    return pyvips.Image.profile_load(name)


def test_cmyk_goes_through_its_own_profile(tmp_path: Path) -> None:
    """Little CMS, asked by Pillow, gives the same colours."""
    path = tmp_path / "a.tif"
    inks = np.random.default_rng(0).integers(0, 200, (8, 9, 4), dtype=np.uint8)
    picture = Pillow.fromarray(inks, "CMYK")
    picture.save(path, icc_profile=profile("cmyk"))
    image = read(path)
    cmyk = ImageCms.ImageCmsProfile(io.BytesIO(profile("cmyk")))
    wanted = ImageCms.profileToProfile(
        picture, cmyk, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB"
    )
    assert wanted is not None
    assert np.abs(image.pixels.astype(int) - np.asarray(wanted)).mean() < 3
    assert image.notes == ("CMYK converted to sRGB through its profile",)
    assert image.metadata.icc is None or image.metadata.icc[16:20] == b"RGB "


@pytest.mark.parametrize("icc", [profile("srgb"), b"x" * 200], ids=["RGB's", "damaged"])
@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_a_profile_that_is_not_for_cmyk_is_not_said_to_be_used(tmp_path: Path, icc: bytes, ending: str) -> None:
    picture = Pillow.fromarray(PHOTO).convert("CMYK")
    picture.save(tmp_path / f"with.{ending}", icc_profile=icc)
    picture.save(tmp_path / f"without.{ending}")
    image, generic = read(tmp_path / f"with.{ending}"), read(tmp_path / f"without.{ending}")
    assert np.array_equal(image.pixels, generic.pixels)
    assert image.notes == ("CMYK converted to sRGB through a generic profile, as its own does not fit",)


def test_wide_gamut_keeps_its_numbers_and_profile(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Pillow.fromarray(PHOTO).save(path, icc_profile=profile("p3"))
    image = read(path)
    with Pillow.open(path) as same:
        assert np.array_equal(image.pixels, np.asarray(same))
    assert image.metadata.icc == profile("p3") and image.notes == ()


def test_profile_that_does_not_fit_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Pillow.fromarray(PHOTO[..., 0]).save(path, icc_profile=profile("srgb"))
    image = read(path)
    assert image.metadata.icc is None
    assert image.notes == ("ICC profile dropped: it does not fit the picture's channels",)
    path = tmp_path / "a.png"  # libvips drops it itself
    Pillow.fromarray(PHOTO[..., 0]).save(path, icc_profile=profile("srgb"))
    assert read(path).notes == ("ICC profile dropped: it is damaged or does not fit the picture's channels",)


def test_broken_exif_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Pillow.fromarray(PHOTO).save(path, exif=b"II*\0\xff\xff\0\0")
    image = read(path)
    assert image.metadata.exif is None
    assert image.notes == ("EXIF dropped: an entry points outside the block",)


def test_float(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    shades = np.linspace(-0.1, 1.2, 64, dtype=np.float32).reshape(8, 8)
    tifffile.imwrite(path, shades)
    image = read(path)
    assert image.notes == ("float samples from -0.1 to 1.2 clipped to 0..1",)
    assert np.array_equal(image.pixels[..., 0], shades.clip(0, 1))
    for bad in (255.0, np.nan):
        tifffile.imwrite(path, np.full((4, 4), bad, np.float32))
        refused(path, "has float samples from .* scale them to 0..1")


@pytest.mark.parametrize("bits", [10, 12])
def test_full_scale_of_fewer_bits_is_full_scale(tmp_path: Path, bits: int) -> None:
    """White stays white and opaque stays opaque; what lies between is the nearest of 16 bits, to one step."""
    path = tmp_path / "a.avif"
    levels = np.arange(2**bits - 64, 2**bits, dtype=np.uint16)
    samples = np.dstack([*[levels.reshape(8, 8)] * 3, np.full((8, 8), levels[-1])])
    raised = (samples << (16 - bits)).astype(np.uint16)
    picture = pyvips.Image.new_from_array(raised, interpretation="rgb16")
    picture.heifsave(str(path), compression="av1", bitdepth=bits, lossless=True)
    image = read(path)
    assert image.alpha is not None and (image.alpha == 65535).all() and image.pixels.max() == 65535
    assert np.abs(image.pixels - samples[..., :3] * (65535 / levels[-1])).max() < 1
    assert image.notes == (f"{bits}-bit samples widened to 16",)


def test_samples_of_no_use_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.int32))
    refused(path, "samples of type int; save it with 8 or 16 bits")
    tifffile.imwrite(path, np.zeros((4, 4, 7), np.uint8), photometric="minisblack", planarconfig="contig")
    refused(path, "has 7 channels; save it as grey, RGB or CMYK")


def test_a_float_negative_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.float32), photometric="miniswhite")
    refused(path, "a float TIFF in which 0 is white")


@pytest.mark.parametrize("suffix", ["png", "tif", "gif"])
def test_a_palette_is_told(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Pillow.fromarray(PHOTO).quantize(200).save(path)
    assert read(path).notes == ("palette expanded",)


def test_lab_is_converted(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pyvips.Image.new_from_array(PHOTO).copy(interpretation="srgb").colourspace("lab").write_to_file(str(path))
    image = read(path)
    assert np.abs(image.pixels.astype(int) - PHOTO).max() <= 2
    assert image.notes == ("lab colour converted to 8-bit sRGB",)


def test_transparent_palette_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture = Pillow.fromarray(np.array([[0, 1, 1]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(path, transparency=0)
    image = read(path)
    assert image.pixels.tolist() == [[[10, 20, 30], [40, 50, 60], [40, 50, 60]]]
    assert image.alpha is not None and image.alpha.tolist() == [[0, 255, 255]]
