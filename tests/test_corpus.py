"""Three hundred broken and odd files in one batch: each a valid result or one clear line, and nothing else left."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch
from PIL import Image as Pillow

from sixteenfold.imaging.read import read
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import save

COUNT = 300
# The command line, but for two things. Sane is less: a flipped bit often makes a picture large, and here the refusal is
# what is tested, not the patience. And at the end it says how much memory it held at its highest.
PROGRAM = """
import sys
from sixteenfold.cli import main
from sixteenfold.imaging import read

read.MAX_PIXELS = 4096
status = main(sys.argv[1:])
# Not getrusage, which on Linux begins with what the parent process held.
print(int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024)
sys.exit(status)
"""


def whole_files() -> dict[str, bytes]:
    """Small pictures of many formats and kinds, by name."""
    samples = np.random.default_rng(0)
    grey, rgb, rgba = (
        pyvips.Image.new_from_array(samples.integers(0, 256, (7, 9, channels), np.uint8)) for channels in (1, 3, 4)
    )
    deep = (rgb * 257).cast("ushort").copy(interpretation="rgb16")
    turned = rgb.copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    frames = rgb.join(rgb.invert(), "vertical").copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", 7)
    cmyk = rgba.copy(interpretation="cmyk")
    return {
        "rgb.png": rgb.write_to_buffer(".png"),
        "alpha.png": rgba.write_to_buffer(".png"),
        "grey.png": grey.write_to_buffer(".png"),
        "deep.png": deep.write_to_buffer(".png"),
        "palette.png": rgb.write_to_buffer(".png", palette=True),
        "one-bit.png": grey.write_to_buffer(".png", bitdepth=1),
        "interlaced.png": rgb.write_to_buffer(".png", interlace=True),
        "turned.jpg": turned.write_to_buffer(".jpg"),
        "grey.jpg": grey.write_to_buffer(".jpg"),
        "progressive.jpg": rgb.write_to_buffer(".jpg", interlace=True),
        "cmyk.jpg": cmyk.write_to_buffer(".jpg"),
        "rgb.webp": rgb.write_to_buffer(".webp"),
        "lossless.webp": rgba.write_to_buffer(".webp", lossless=True),
        "moving.webp": frames.write_to_buffer(".webp"),
        "rgb.gif": rgb.write_to_buffer(".gif"),
        "moving.gif": frames.write_to_buffer(".gif"),
        "deep.tif": deep.write_to_buffer(".tif"),
        "tiled.tif": rgba.write_to_buffer(".tif", tile=True, compression="lzw"),
        "big.tif": rgb.write_to_buffer(".tif", bigtiff=True),
        "float.tif": (rgb / 255).cast("float").copy(interpretation="scrgb").write_to_buffer(".tif"),
        "jpeg.tif": rgb.write_to_buffer(".tif", compression="jpeg"),
        "camera.tif": with_exif(rgb.numpy()),
        "rgb.avif": rgb.write_to_buffer(".avif", effort=0),
    }


def with_exif(pixels: np.ndarray) -> bytes:
    """A TIFF with directories of EXIF's, which are read by our own code."""
    exif = Pillow.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x927C] = b"maker's note"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 59.0)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "TIFF", exif=exif.tobytes())
    return buffer.getvalue()


def whole(data: bytes, _: random.Random) -> bytes:
    return data


def cut(data: bytes, choose: random.Random) -> bytes:
    return data[: choose.randrange(len(data))]


def cut_late(data: bytes, choose: random.Random) -> bytes:
    return data[: -choose.randint(1, 12)]


def flipped(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        changed[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
    return bytes(changed)


def wrong_header(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    start = choose.randrange(min(40, len(data)))
    changed[start : start + 4] = choose.randbytes(4)
    return bytes(changed)


def huge(data: bytes, choose: random.Random) -> bytes:
    """Wherever the header has the size, another: 9 and 7 as numbers of one, two or four bytes."""
    head, changed = data[:400], bytearray(data)
    for value in (9, 7):
        for number in (value.to_bytes(2, "big"), value.to_bytes(2, "little")):
            places = [i for i in range(len(head) - 1) if head[i : i + 2] == number]
            for i in places[:3]:
                changed[i : i + 2] = choose.choice([b"\xff\xff", b"\x7f\xff", b"\x40\x40"])
    return bytes(changed)


def a_hole(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data))
    length = choose.randint(1, 60)
    return data[:start] + bytes(len(data[start : start + length])) + data[start + length :]


def missing_middle(data: bytes, choose: random.Random) -> bytes:
    start = choose.randrange(len(data))
    return data[:start] + data[start + choose.randint(1, 60) :]


def junk_after(data: bytes, choose: random.Random) -> bytes:
    return data + choose.randbytes(300)


def junk_before(data: bytes, choose: random.Random) -> bytes:
    return choose.randbytes(3) + data


def noise(data: bytes, choose: random.Random) -> bytes:
    return choose.randbytes(choose.choice([0, 1, 7, 200]))


def signature_and_noise(data: bytes, choose: random.Random) -> bytes:
    return data[:12] + choose.randbytes(200)


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(whole, cut, cut_late, flipped, flipped, wrong_header, huge, a_hole),
    *(missing_middle, junk_after, junk_before, noise, signature_and_noise),
)


def make_corpus(folder: Path) -> int:
    """Write the files; give how many of them are whole under their own suffix."""
    choose = random.Random(0)
    files = list(whole_files().items())
    suffixes = sorted({Path(name).suffix for name, _ in files})
    unharmed = 0
    for i in range(COUNT):
        name, data = files[i % len(files)]
        damage = DAMAGES[(i // len(files)) % len(DAMAGES)]
        # A tenth bears another format's name.
        suffix = choose.choice(suffixes) if i % 10 == 3 else Path(name).suffix
        (folder / f"{i:03}-{damage.__name__}-{Path(name).stem}{suffix}").write_bytes(damage(data, choose))
        unharmed += damage is whole
    return unharmed


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(Generator(features=2, growth=1, blocks=(1, 1)), path, {})
    return str(path)


def test_every_file_ends_in_a_result_or_one_line(tmp_path: Path, model: str) -> None:
    corpus, out = tmp_path / "in", tmp_path / "out"
    corpus.mkdir()
    unharmed = make_corpus(corpus)
    before = {path: path.read_bytes() for path in corpus.iterdir()}
    assert len(before) == COUNT
    words = ["upscale", corpus, "-o", out, "--model", model, "--device", "cpu", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1, done.stderr[-2000:]
    *lines, peak_mb = done.stdout.splitlines()
    assert int(peak_mb) < 2000
    assert {path: path.read_bytes() for path in corpus.iterdir()} == before

    events = [json.loads(line) for line in lines]
    ends = {event["source"]: event for event in events if event["event"] in ("written", "failed")}
    assert ends.keys() == {str(path) for path in before}
    failed = {source: event["reason"] for source, event in ends.items() if event["event"] == "failed"}
    for source, reason in failed.items():
        assert reason.count("\n") == 0 and len(reason) < 400 and Path(source).name in reason, reason
    # What else stands on stderr is the one line that names the device.
    _description, *said = done.stderr.splitlines()
    assert said == [f"sixteenfold: {reason}" for reason in failed.values()]

    targets = {event["target"]: source for source, event in ends.items() if event["event"] == "written"}
    assert {str(path) for path in out.rglob("*")} == targets.keys()
    for target, source in targets.items():
        height, width, channels = read(Path(source)).pixels.shape
        assert read(Path(target)).pixels.shape == (16 * height, 16 * width, channels)
    assert len(targets) >= unharmed
    assert len(failed) > COUNT // 3


def test_a_bomb_is_refused_by_the_size_that_it_declares(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from sixteenfold.cli import main

    # 20,000 x 20,000 black pixels: 1.2 GB, in a file of less than 2 MB.
    bomb = tmp_path / "bomb.png"
    pyvips.Image.black(20_000, 20_000, bands=1).write_to_file(str(bomb), compression=1, bitdepth=1)
    assert bomb.stat().st_size < 2e6
    assert main(["upscale", str(bomb), "--model", model]) == 2
    said = capsys.readouterr().err
    assert "20000 x 20000" in said and "--allow-huge" in said
    assert list(tmp_path.iterdir()) == [bomb]
