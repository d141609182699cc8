"""Every cell of the two tables in docs/formats.md, by files that Pillow and tifffile wrote or read."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow, ImageCms
from skimage import data

from sixteenfold.imaging.formats import check_format
from sixteenfold.imaging.image import Image, Metadata
from sixteenfold.imaging.read import read
from sixteenfold.imaging.write import rows_to_file

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
PHOTO: np.ndarray = np.ascontiguousarray(data.astronaut()[100:140, 180:240])  # 40 x 60
ALPHA = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2 + 20
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="1">said</r></x:xmpmeta>'
SUFFIX = {"PNG": ".png", "TIFF": ".tif", "JPEG": ".jpg", "WebP": ".webp", "AVIF": ".avif", "GIF": ".gif"} | {
    "DeepZoom": ".dzi"
}
FULL = {"uint8": 255, "uint16": 65535, "float32": 1}


def table(heading: str) -> list[tuple[str, str, str]]:
    """(format, column, cell) of the table below `heading`."""
    text = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(row[0], column, cell) for row in rows[2:] for column, cell in zip(rows[0][1:], row[1:], strict=True)]


def exif(orientation: int = 1) -> bytes:
    entries = Pillow.Exif()
    entries[0x010F] = "Maker"
    entries[0x0112] = orientation
    entries[0x011A], entries[0x011B], entries[0x0128] = 300.0, 150.0, 2
    entries.get_ifd(0x8769)[0xA002] = 60
    entries.get_ifd(0x8769)[0xA003] = 40
    return entries.tobytes()


def entries_of(block: bytes) -> tuple[dict[int, object], dict[int, object]]:
    parsed = Pillow.Exif()
    parsed.load(block)
    return dict(parsed), dict(parsed.get_ifd(0x8769))


def saved(path: Path, form: str, picture: Pillow.Image, **options: object) -> Path:
    if form in ("WebP", "JPEG", "AVIF"):
        options |= {"quality": 90}
    if form == "AVIF":  # decoders differ in how they enlarge subsampled chroma
        options |= {"subsampling": "4:4:4"}
    picture.save(path, form.upper(), **options)
    return path


def reference(path: Path, mode: str) -> np.ndarray:
    with Pillow.open(path) as picture:
        return np.asarray(picture.convert(mode))


def close(ours: np.ndarray, theirs: np.ndarray, most: float = 2) -> bool:
    return ours.shape == theirs.shape and float(np.abs(ours.astype(float) - theirs.astype(float)).max()) <= most


# Reading: one function a column, which says what became of a file with that property.


def read_8_bit(path: Path, form: str) -> str:
    image = read(saved(path, form, Pillow.fromarray(PHOTO)))
    same = close(image.pixels, reference(path, "RGB"), 0 if form in ("PNG", "TIFF", "GIF", "JPEG") else 3)
    return "kept" if same and image.pixels.dtype == np.uint8 and image.alpha is None else "wrong"


def read_16_bit(path: Path, form: str) -> str:
    deep = PHOTO.astype(np.uint16) * 257 + np.arange(60, dtype=np.uint16)[:, None]
    if form == "TIFF":
        tifffile.imwrite(path, deep, photometric="rgb")
        return "kept" if np.array_equal(read(path).pixels, deep) else "wrong"
    write(path, deep)
    ours = read(path)
    if form == "PNG":
        return "kept" if np.array_equal(ours.pixels, deep) else "wrong"
    assert ours.notes == ("12-bit samples widened to 16",)
    error = np.abs(ours.pixels.astype(float) - deep).mean() / 257
    return "kept" if ours.pixels.dtype == np.uint16 and error < 3 else "wrong"


def read_float(path: Path, form: str) -> str:
    shades = (PHOTO / 255).astype(np.float32)
    tifffile.imwrite(path, shades, photometric="rgb")
    return "kept" if np.array_equal(read(path).pixels, shades) else "wrong"


def read_grey(path: Path, form: str) -> str:
    image = read(saved(path, form, Pillow.fromarray(PHOTO[..., 0])))
    grey = reference(path, "L")
    if image.pixels.shape[2] == 1:
        return "kept" if close(image.pixels[..., 0], grey, 0) else "wrong"
    return "as RGB" if close(image.pixels, np.dstack([grey] * 3), 3) else "wrong"


def read_1_bit(path: Path, form: str) -> str:
    image = read(saved(path, form, Pillow.fromarray(PHOTO[..., 0]).convert("1")))
    same = close(image.pixels[..., 0], reference(path, "L"), 0)
    assert image.notes == ("1-bit samples widened to 8",)
    return "to 8 bit" if same and image.pixels.shape[2] == 1 else "wrong"


def read_palette(path: Path, form: str) -> str:
    image = read(saved(path, form, Pillow.fromarray(PHOTO).convert("P")))
    return "to RGB" if np.array_equal(image.pixels, reference(path, "RGB")) else "wrong"


def read_alpha(path: Path, form: str) -> str:
    alpha = ALPHA if form != "GIF" else (ALPHA > 100).astype(np.uint8) * 255
    image = read(saved(path, form, Pillow.fromarray(np.dstack([PHOTO, alpha]))))
    return "kept" if image.alpha is not None and close(image.alpha, alpha) else "lost"


def read_cmyk(path: Path, form: str) -> str:
    image = read(saved(path, form, Pillow.fromarray(PHOTO).convert("CMYK")))
    assert image.notes == ("CMYK converted to sRGB through a generic profile, as it has none",)
    # Another profile gives other colours, but dark stays dark: an inverted plane would not.
    related = np.corrcoef(image.pixels.ravel(), PHOTO.ravel())[0, 1]
    return "to sRGB" if image.pixels.shape == PHOTO.shape and related > 0.9 else "wrong"


def read_icc(path: Path, form: str) -> str:
    image = read(saved(path, form, Pillow.fromarray(PHOTO), icc_profile=ICC))
    return "kept" if image.metadata.icc == ICC else "lost"


def read_exif(path: Path, form: str) -> str:
    block = read(saved(path, form, Pillow.fromarray(PHOTO), exif=exif())).metadata.exif
    if block is None:
        return "lost"
    main, inner = entries_of(block)
    return "kept" if (main[0x010F], inner[0xA002], inner[0xA003]) == ("Maker", 60, 40) else "wrong"


def read_xmp(path: Path, form: str) -> str:
    if form == "PNG":
        write(path, PHOTO, Metadata(xmp=XMP))
        assert b"XML:com.adobe.xmp" in path.read_bytes()
    elif form == "TIFF":
        saved(path, form, Pillow.fromarray(PHOTO), tiffinfo={700: XMP})
    else:
        saved(path, form, Pillow.fromarray(PHOTO), xmp=XMP)
    return "kept" if read(path).metadata.xmp == XMP else "lost"


def read_dpi(path: Path, form: str) -> str:
    if form in ("WebP", "AVIF"):
        saved(path, form, Pillow.fromarray(PHOTO), exif=exif())
    else:
        saved(path, form, Pillow.fromarray(PHOTO), dpi=(300, 150))
    metadata = read(path).metadata
    said = (metadata.xres * 25.4, metadata.yres * 25.4)
    return "kept" if said == pytest.approx((300, 150), rel=1e-3) else "lost"


def read_orientation(path: Path, form: str) -> str:
    image = read(saved(path, form, Pillow.fromarray(PHOTO), exif=exif(6)))
    flat = saved(path, form, Pillow.fromarray(PHOTO))
    upright = np.rot90(reference(flat, "RGB"), -1)
    if not close(image.pixels, upright, 0 if form in ("PNG", "TIFF", "JPEG") else 6):
        return "wrong"
    if image.metadata.exif is not None:
        main, inner = entries_of(image.metadata.exif)
        assert (main.get(0x0112, 1), inner[0xA002], inner[0xA003]) == (1, 40, 60)
    return "applied"


def read_several(path: Path, form: str) -> str:
    frames = [Pillow.fromarray(np.roll(PHOTO, 20 * turn, 1)) for turn in range(3)]
    image = read(saved(path, form, frames[0], save_all=True, append_images=frames[1:]))
    assert any(re.search("the first (of 3|frame) is used", note) for note in image.notes)
    return "first" if np.abs(image.pixels.astype(float) - PHOTO).mean() < 10 else "wrong"


READERS = {
    "8 bit": read_8_bit,
    "16 bit": read_16_bit,
    "float": read_float,
    "grey": read_grey,
    "1 bit": read_1_bit,
    "palette": read_palette,
    "alpha": read_alpha,
    "CMYK": read_cmyk,
    "ICC": read_icc,
    "EXIF": read_exif,
    "XMP": read_xmp,
    "DPI": read_dpi,
    "orientation": read_orientation,
    "several": read_several,
}


@pytest.mark.parametrize(("form", "column", "cell"), [row for row in table("Reading") if row[2] != "-"])
def test_reading(tmp_path: Path, form: str, column: str, cell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert READERS[column](tmp_path / f"photo{SUFFIX[form]}", form) == cell
    assert capfd.readouterr().err == ""


# Writing.


def write(path: Path, pixels: np.ndarray, metadata: Metadata | None = None) -> None:
    height, width, channels = pixels.shape
    with rows_to_file(path, width, height, channels, pixels.dtype, metadata or Metadata()) as writer:
        writer.write(pixels[:7])
        writer.write(pixels[7:])


def written(path: Path, pixels: np.ndarray, metadata: Metadata | None = None) -> Image:
    write(path, pixels, metadata)
    if path.suffix != ".dzi":
        return read(path)
    # Of these few pixels the largest level is one tile, and the tile a picture file.
    (tile,) = max((path.parent / f"{path.stem}_files").iterdir(), key=lambda level: int(level.name)).iterdir()
    return read(tile)


def sample_cell(path: Path, pixels: np.ndarray) -> str:
    height, width, _ = pixels.shape
    notes = check_format(path, width, height, alpha=False, dtype=pixels.dtype)
    image = written(path, pixels)
    if np.array_equal(image.pixels, pixels) and image.pixels.dtype == pixels.dtype:
        assert notes == ()
        return "exact"
    ours = image.pixels.astype(float) / FULL[image.pixels.dtype.name]
    theirs = pixels.astype(float) / FULL[pixels.dtype.name]
    assert np.abs(ours - theirs).mean() < 3 / 255
    reduced = re.search(r"reduced to (\d+ bit)", " ".join(notes))
    if reduced is None:
        return "close"
    read_back = "8 bit" if image.pixels.dtype == np.uint8 else "16 bit"
    assert reduced[1] == "12 bit" or reduced[1] == read_back
    assert (reduced[1] == "12 bit") == (image.notes == ("12-bit samples widened to 16",))
    return reduced[1]


def write_8_bit(path: Path) -> str:
    return sample_cell(path, PHOTO)


def write_16_bit(path: Path) -> str:
    return sample_cell(path, PHOTO.astype(np.uint16) * 257 + np.uint16(1))


def write_float(path: Path) -> str:
    return sample_cell(path, ((PHOTO + 0.3) / 256).astype(np.float32))


def write_grey(path: Path) -> str:
    pixels = written(path, PHOTO[..., :1]).pixels
    assert np.abs(pixels.astype(float) - PHOTO[..., :1]).mean() < 3
    return "kept" if pixels.shape[2] == 1 else "as RGB"


def write_alpha(path: Path) -> str:
    clear = (ALPHA > 60).astype(np.uint8) * 255
    notes = check_format(path, 60, 40, alpha=True, dtype=np.uint8)
    image = written(path, np.dstack([np.zeros_like(PHOTO), clear]))
    if image.alpha is not None:
        assert notes == ()
        return "kept" if close(image.alpha, clear) else "wrong"
    assert [note.split(": ")[1] for note in notes] == ["alpha flattened on white"]
    return "on white" if close(image.pixels, np.dstack([255 - clear] * 3), 90) else "wrong"


def write_icc(path: Path) -> str:
    return "kept" if written(path, PHOTO, Metadata(icc=ICC)).metadata.icc == ICC else "lost"


def write_exif(path: Path) -> str:
    notes = check_format(path, 60, 40, alpha=False, dtype=np.uint8, metadata=Metadata(exif=exif()))
    picture = np.tile(PHOTO, (2, 3, 1))
    write(path, picture, Metadata(exif=exif(6)))
    if path.suffix == ".dzi":
        assert notes == ("DeepZoom: EXIF not kept",)
        return "lost" if written(path, PHOTO, Metadata(exif=exif())).metadata.exif is None else "kept"
    with Pillow.open(path) as seen:
        main = dict(seen.getexif())
        inner = dict(seen.getexif().get_ifd(0x8769))
    if 0x010F not in main:
        return "lost"
    assert notes == ()
    # Pillow drops AVIF's orientation from what it shows, as the container has the say there.
    good = (main[0x010F], main.get(0x0112, 1), inner[0xA002], inner[0xA003]) == ("Maker", 1, 180, 80)
    return "kept" if good else "wrong"


def write_xmp(path: Path) -> str:
    notes = check_format(path, 60, 40, alpha=False, dtype=np.uint8, metadata=Metadata(xmp=XMP))
    kept = written(path, PHOTO, Metadata(xmp=XMP)).metadata.xmp == XMP
    assert kept == (notes == ())
    return "kept" if kept else "lost"


def write_dpi(path: Path) -> str:
    image = written(path, PHOTO, Metadata(xres=300 / 25.4, yres=150 / 25.4))
    said = (image.metadata.xres * 25.4, image.metadata.yres * 25.4)
    return "kept" if said == pytest.approx((300, 150), rel=1e-3) else "lost"


WRITERS = {
    "8 bit": write_8_bit,
    "16 bit": write_16_bit,
    "float": write_float,
    "grey": write_grey,
    "alpha": write_alpha,
    "ICC": write_icc,
    "EXIF": write_exif,
    "XMP": write_xmp,
    "DPI": write_dpi,
}


@pytest.mark.parametrize(("form", "column", "cell"), [row for row in table("Writing") if row[1] in WRITERS])
def test_writing(tmp_path: Path, form: str, column: str, cell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert WRITERS[column](tmp_path / f"photo{SUFFIX[form]}") == cell
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("form", "column", "cell"), [row for row in table("Writing") if row[1] not in WRITERS])
def test_names_and_sides(form: str, column: str, cell: str) -> None:
    if column == "suffix":
        for suffix in cell.split():
            check_format(Path(f"a{suffix}"), 1, 1, alpha=False, dtype=np.uint8)
    else:
        assert column == "largest side"
        side = int(cell.replace(",", ""))
        check_format(Path(f"a{SUFFIX[form]}"), side, 1, alpha=False, dtype=np.uint8)
        with pytest.raises(Exception, match=r"no format can|save as \.png"):
            check_format(Path(f"a{SUFFIX[form]}"), 1, side + 1, alpha=False, dtype=np.uint8)


def test_a_general_buffer_is_read_as_pillow_reads_it(tmp_path: Path) -> None:
    """Grey with alpha has no column of its own."""
    buffer = io.BytesIO()
    Pillow.fromarray(np.dstack([PHOTO[..., 0], ALPHA]), "LA").save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    image = read(tmp_path / "a.png")
    assert np.array_equal(image.pixels[..., 0], PHOTO[..., 0])
    assert image.alpha is not None and np.array_equal(image.alpha, ALPHA)
