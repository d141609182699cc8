"""Foreign checkpoints: the authors' format made here, and files that try to run code."""

import copy
import importlib
import io
import json
import os
import pickle
import random
import re
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch._utils import _rebuild_tensor_v2
from torch.optim.swa_utils import AveragedModel

from sixteenfold.errors import SixteenfoldError
from sixteenfold.networks.convert import convert, our_name, read_checkpoint
from sixteenfold.networks.discriminator import UNetDiscriminator
from sixteenfold.networks.generator import Generator
from sixteenfold.networks.state import GeneratorShape, build, shape_from_state
from sixteenfold.networks.torchfile import TorchFile

# A module of the authors' class and child names, as they would have it on disk while training.
AUTHORS_MODULE = """
import torch
from torch import nn
from torch.nn.functional import interpolate

class Dense(nn.Module):
    def __init__(self, features, growth):
        super().__init__()
        for i in range(5):
            setattr(self, f"conv{i + 1}", nn.Conv2d(features + i * growth, features if i == 4 else growth, 3, 1, 1))
        self.lrelu = nn.LeakyReLU(negative_slope=0.2, inplace=True)

    def forward(self, x):
        a = self.lrelu(self.conv1(x))
        b = self.lrelu(self.conv2(torch.cat((x, a), 1)))
        c = self.lrelu(self.conv3(torch.cat((x, a, b), 1)))
        d = self.lrelu(self.conv4(torch.cat((x, a, b, c), 1)))
        return self.conv5(torch.cat((x, a, b, c, d), 1)) * 0.2 + x

class Block(nn.Module):
    def __init__(self, features, growth):
        super().__init__()
        self.RDB1, self.RDB2, self.RDB3 = (Dense(features, growth) for _ in range(3))

    def forward(self, x):
        return self.RDB3(self.RDB2(self.RDB1(x))) * 0.2 + x

class RRDBNetx4x4(nn.Module):
    def __init__(self, features, growth, blocks):
        super().__init__()
        self.conv_first = nn.Conv2d(3, features, 3, 1, 1)
        self.RRDB_trunk = nn.Sequential(*[Block(features, growth) for _ in range(blocks[0])])
        self.RRDB_trunk2 = nn.Sequential(*[Block(features, growth) for _ in range(blocks[1])])
        for name in ("trunk_conv", "upconv1", "upconv2", "HRconv", "trunk_conv2", "upconv3", "upconv4", "HRconv2"):
            setattr(self, name, nn.Conv2d(features, features, 3, 1, 1))
        self.conv_last = nn.Conv2d(features, 3, 3, 1, 1)
        self.lrelu = nn.LeakyReLU(0.2)

    def up(self, x, conv):
        return self.lrelu(conv(interpolate(x, scale_factor=2, mode="nearest")))

    def forward(self, x):
        x = self.conv_first(x)
        x = x + self.trunk_conv(self.RRDB_trunk(x))
        x = self.HRconv(self.up(self.up(x, self.upconv1), self.upconv2))
        x = x + self.trunk_conv2(self.RRDB_trunk2(x))
        x = self.up(self.up(x, self.upconv3), self.upconv4)
        return self.conv_last(self.lrelu(self.HRconv2(x)))
"""
SHAPE = GeneratorShape((8, 8, 8), (4, 4), (2, 1))


@pytest.fixture
def authors_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "their_code"
    folder.mkdir()
    (folder / "RRDBNet_arch.py").write_text(AUTHORS_MODULE)
    monkeypatch.syspath_prepend(folder)
    yield importlib.import_module("RRDBNet_arch").RRDBNetx4x4
    sys.modules.pop("RRDBNet_arch", None)


def forget_authors_code() -> None:
    """From here on nobody has their class, and a try to import it fails."""
    del sys.modules["RRDBNet_arch"]
    sys.path[:] = [entry for entry in sys.path if not entry.endswith("their_code")]
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("RRDBNet_arch")


@pytest.fixture
def tiny() -> Generator:
    torch.manual_seed(3)
    return Generator(features=(6, 8, 4), growth=(3, 4), blocks=(2, 1))


def authors_state(features: int = 8) -> dict[str, Tensor]:
    """The authors' names with random values, for a network of one block a trunk."""
    theirs = {}
    for name, tensor in Generator(features, 4, (1, 1)).state_dict().items():
        parts = name.split(".")
        simple = {"stem": "conv_first", "bridge": "HRconv", "refine": "HRconv2", "last": "conv_last"}
        trunk = {"first": "", "second": "2"}.get(parts[0], "")
        if parts[0].startswith("up"):
            theirs[f"upconv{parts[0][2]}.{parts[1]}"] = tensor
        elif parts[0] in simple:
            theirs[f"{simple[parts[0]]}.{parts[1]}"] = tensor
        elif parts[1] == "fuse":
            theirs[f"trunk_conv{trunk}.{parts[2]}"] = tensor
        else:
            _, _, block, _, dense, _, conv, kind = parts
            theirs[f"RRDB_trunk{trunk}.{block}.RDB{int(dense) + 1}.conv{int(conv) + 1}.{kind}"] = tensor
    return theirs


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "DataParallel"])
def test_authors_pickled_module(authors_class: type, tmp_path: Path, zipped: bool, wrapped: bool) -> None:
    torch.manual_seed(0)
    theirs = authors_class(8, 4, (2, 1))
    lr = torch.rand(1, 3, 5, 4)
    with torch.no_grad():
        expected = theirs(lr)
    file = tmp_path / "theirs.pth"
    torch.save(nn.DataParallel(theirs) if wrapped else theirs, file, _use_new_zipfile_serialization=zipped)
    forget_authors_code()

    assert convert(file, tmp_path / "ours.safetensors") == SHAPE
    generator = build(read_checkpoint(tmp_path / "ours.safetensors"), file)
    with torch.no_grad():
        torch.testing.assert_close(generator(lr), expected, rtol=1e-5, atol=1e-6)
    assert "RRDBNet_arch" not in sys.modules
    with safetensors.safe_open(tmp_path / "ours.safetensors", "pt") as written:
        assert written.metadata() == {
            "source": "theirs.pth",
            "shape": '{"features": [8, 8, 8], "growth": [4, 4], "blocks": [2, 1]}',
        }


def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    """A file's own name may be any bytes; a header's text, and what safetensors opens, may not."""
    network = Generator(8, 4, (1, 1))
    file, renamed = (tmp_path / os.fsdecode(b"m\xff" + ending) for ending in (b".pth", b".safetensors"))
    torch.save(network.state_dict(), file)
    convert(file, renamed)
    with pytest.raises(SixteenfoldError, match=r"cannot be opened by that name, which is not UTF-8; rename") as caught:
        read_checkpoint(renamed)
    assert str(renamed) in str(caught.value)
    sound = renamed.rename(tmp_path / "m.safetensors")
    assert read_checkpoint(sound).keys() == network.state_dict().keys()
    with safetensors.safe_open(sound, "pt") as written:
        assert written.metadata()["source"] == r"m\udcff.pth"


def test_every_authors_name_is_known() -> None:
    assert [our_name(name) for name in authors_state()] == list(Generator(8, 4, (1, 1)).state_dict())
    assert our_name("RRDB_trunk2.22.RDB3.conv5.bias") == "second.blocks.22.dense.2.convs.4.bias"
    assert our_name("RRDB_trunk.0.RDB4.conv1.bias") == "RRDB_trunk.0.RDB4.conv1.bias"


WRAPPINGS: dict[str, Callable[[dict], object]] = {
    "plain": lambda state: state,
    "ordered": OrderedDict,
    "module.": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "params": lambda state: {"params": state},
    "params_ema first": lambda state: {
        "params": {name: tensor * 0 for name, tensor in state.items()},
        "params_ema": state,
    },
    "training": lambda state: {
        "epoch": 3,
        "state_dict": {f"module.{n}": t for n, t in state.items()},
        "args": {1: "x"},
    },
    "beside a score": lambda state: {"params": state, "best_psnr": torch.tensor(23.5)},
    "beside settings": lambda state: {"ema": {"decay": 0.9}, "params_ema": {}, "params": state},
    "with settings among them": lambda state: {**state, "model": {"name": "x"}},
    "beside what is called alike": lambda state: {
        "ema": 0.999,
        "model": "ours",
        "weights": torch.ones(3),
        "params": state,
    },
    "nested": lambda state: {"model": {"generator": state}},
    "beside another": lambda state: {
        "state_dict": {**{f"generator.{n}": t for n, t in state.items()}, "discriminator.weight": torch.zeros(3)}
    },
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("format", ["zip", "legacy", "protocol 4"])
def test_state_dicts_in_their_wrappings(tmp_path: Path, tiny: Generator, wrapping: str, format: str) -> None:
    file = tmp_path / "state.pth"
    protocol = 4 if format == "protocol 4" else 2
    content = WRAPPINGS[wrapping](tiny.state_dict())
    torch.save(content, file, _use_new_zipfile_serialization=format != "legacy", pickle_protocol=protocol)
    found = read_checkpoint(file)
    assert list(found) == list(tiny.state_dict())
    assert all(torch.equal(found[name], tensor) for name, tensor in tiny.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_become_float32(tmp_path: Path, tiny: Generator, dtype: torch.dtype) -> None:
    half = copy.deepcopy(tiny).to(dtype)
    torch.save(half, tmp_path / "a.pth")
    safetensors.torch.save_file(half.state_dict(), tmp_path / "a.safetensors")
    for name in ("a.pth", "a.safetensors"):
        found = read_checkpoint(tmp_path / name)
        assert {tensor.dtype for tensor in found.values()} == {torch.float32}
        assert torch.equal(found["up1.weight"], half.up1.weight.float())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_strided_and_shared_storages(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {"a": base, "b": base.T, "c": base[1:3, ::2], "d": base[2], "e": torch.tensor(7.0), "f": torch.zeros(0, 3)}
    torch.save(state, tmp_path / "s.pth", _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(tmp_path / "s.pth")
    assert all(torch.equal(found[name], tensor) and found[name].is_contiguous() for name, tensor in state.items())
    found["a"].zero_()
    assert torch.equal(found["b"], base.T)


def test_sizes_are_read_off_the_tensors(tiny: Generator) -> None:
    assert shape_from_state(tiny.state_dict()) == GeneratorShape((6, 8, 4), (3, 4), (2, 1))


def test_a_network_is_no_larger_than_its_file() -> None:
    """Building thousands of blocks, only to say that their tensors are missing, would take minutes."""
    state = {f"first.blocks.{i}.x": torch.zeros(0) for i in range(1500)}
    assert shape_from_state(state).blocks == (50, 0)


@pytest.mark.parametrize(
    "name", ["stem", "bridge", "refine", "first.blocks.0.dense.0.convs.0", "second.blocks.0.dense.0.convs.0"]
)
@pytest.mark.parametrize("side", [2**40, 2**62, 2**64 - 1])
def test_sizes_beyond_any_tensor_give_one_line(tmp_path: Path, name: str, side: int) -> None:
    empty = {"dtype": "F32", "shape": [side, 0], "data_offsets": [0, 0]}
    # So many that the blocks are believed.
    header = json.dumps({f"{name}.weight": empty, **{f"{i}": empty | {"shape": [0]} for i in range(30)}}).encode()
    (tmp_path / "f.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    message = complaint(tmp_path / "f.safetensors")
    assert message is not None and re.search("no tensor can be that large|cannot be converted to float32", message)
    assert "\n" not in message


def test_differences_are_named(tmp_path: Path) -> None:
    state = authors_state()
    del state["RRDB_trunk2.0.RDB2.conv3.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["upconv1.bias"] = torch.zeros(9)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(SixteenfoldError) as caught:
        convert(tmp_path / "odd.pth", tmp_path / "out.safetensors")
    message = str(caught.value)
    assert "1 missing, first 'second.blocks.0.dense.1.convs.2.weight'" in message
    assert "1 unexpected, first 'extra.weight'" in message
    assert "1 of another shape, first 'up1.bias' ((9,), not (8,))" in message
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    "names",
    [
        ["conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "trunk_conv.weight", "conv_last.weight"],
        ["conv_first.weight", "body.0.rdb1.conv1.weight", "conv_body.weight"],
        ["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"],
    ],
)
def test_x4_networks_are_called_that(tmp_path: Path, names: list[str]) -> None:
    torch.save({"params_ema": {name: torch.zeros(8, 3, 3, 3) for name in names}}, tmp_path / "esrgan.pth")
    with pytest.raises(SixteenfoldError, match=r"a x4 network \(ESRGAN's\) with one trunk"):
        read_checkpoint(tmp_path / "esrgan.pth")


@pytest.mark.parametrize("decoder", [True, False])
def test_a_discriminator_is_called_that(tmp_path: Path, decoder: bool) -> None:
    """It lies beside the weights in every run's folder."""
    torch.save({"params": UNetDiscriminator((4, 8), decoder=decoder).state_dict()}, tmp_path / "d.pth")
    with pytest.raises(SixteenfoldError, match=r"d\.pth: a discriminator, which judges pictures and makes none"):
        convert(tmp_path / "d.pth", tmp_path / "out.safetensors")


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_whole_numbers_are_no_weights(tmp_path: Path, tiny: Generator, dtype: torch.dtype, ending: str) -> None:
    state = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    state["up1.bias"] = torch.ones(8, dtype=dtype)
    file = tmp_path / f"whole.{ending}"
    torch.save(state, file) if ending == "pth" else safetensors.torch.save_file(state, file)
    with pytest.raises(SixteenfoldError, match=rf"whole\.{ending}: 'up1.bias' is of type {dtype}, not floating point"):
        convert(file, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_the_average_of_our_own_checkpoint_is_preferred(tmp_path: Path, tiny: Generator) -> None:
    averaged = copy.deepcopy(tiny)
    with torch.no_grad():
        averaged.up1.weight.add_(1)
    average = AveragedModel(averaged).state_dict()
    torch.save({"phase": "pixel", "generator": tiny.state_dict(), "average": average}, tmp_path / "ours.pt")
    assert torch.equal(read_checkpoint(tmp_path / "ours.pt")["up1.weight"], averaged.up1.weight)
    torch.save({"phase": "pixel", "generator": tiny.state_dict(), "average": None}, tmp_path / "none.pt")
    assert torch.equal(read_checkpoint(tmp_path / "none.pt")["up1.weight"], tiny.up1.weight)


def test_a_count_beside_the_network_is_no_weight_of_it(tmp_path: Path, tiny: Generator) -> None:
    state = {f"generator.{name}": tensor for name, tensor in tiny.state_dict().items()}
    torch.save({**state, "discriminator.num_batches_tracked": torch.tensor(7)}, tmp_path / "both.pth")
    assert complaint(tmp_path / "both.pth") is None
    torch.save({**tiny.state_dict(), "n_averaged": torch.tensor(7)}, tmp_path / "count.pth")
    message = complaint(tmp_path / "count.pth")
    assert message is not None and "1 unexpected, first 'n_averaged'" in message


# --- Files that mean harm ---------------------------------------------------------------------------


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def harmful(marker: Path) -> dict[str, object]:
    """Objects whose unpickling would make the marker file."""
    command = f"touch {marker}"
    system = getattr(os, "system")  # noqa: B009 (pyright calls os.system deprecated, which is the point here)
    code = f"open({str(marker)!r}, 'w').close()"
    inside = nn.Conv2d(1, 1, 1)
    inside.register_buffer("weight2", torch.zeros(1))
    object.__setattr__(inside, "hook", Call(system, command))
    hidden = nn.Sequential(nn.ReLU(), inside)
    return {
        "os.system": Call(system, command),
        "builtins.exec": Call(exec, code),
        "builtins.eval": Call(eval, f"__import__('os').system({command!r})"),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "import": Call(__import__, "this"),
        "in a module": hidden,
        "beside the weights": {"params": {"a": torch.zeros(2)}, "info": [Call(system, command)]},
        "as a key": {"state_dict": OrderedDict([(Call(system, command), torch.zeros(1))])},
        "torch.load": Call(torch.load, str(marker)),
    }


@pytest.mark.parametrize("format", ["zip", "legacy", "protocol 4", "plain pickle"])
@pytest.mark.parametrize("kind", harmful(Path("x")))
def test_nothing_is_run(tmp_path: Path, kind: str, format: str) -> None:
    marker, file = tmp_path / "marker", tmp_path / "bad.pth"
    content = harmful(marker)[kind]
    if format == "plain pickle":
        file.write_bytes(pickle.dumps(content))
    else:
        protocol = 4 if format == "protocol 4" else 2
        torch.save(content, file, _use_new_zipfile_serialization=format != "legacy", pickle_protocol=protocol)
    with pytest.raises(SixteenfoldError, match=r"refused, it (tries to call|uses the pickle step)") as caught:
        convert(file, tmp_path / "out.safetensors")
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"bad.pth"}


def test_the_harm_is_real(tmp_path: Path) -> None:
    """The counterpart: these files do run code in an unpickler that is not careful."""
    for kind in ("os.system", "builtins.exec", "in a module", "beside the weights"):
        marker = tmp_path / kind.replace(" ", "-")
        buffer = io.BytesIO()
        torch.save(harmful(marker)[kind], buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=False)
        assert marker.exists(), kind


def zip_with(program: bytes, path: Path, storages: dict[str, bytes] | None = None) -> None:
    """An archive as torch.save makes it around any program."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)
        for key, content in (storages or {}).items():
            archive.writestr(f"a/data/{key}", content)


SYSTEM = b"cposix\nsystem\n"
PROGRAMS = {
    "INST": b"(S'touch MARKER'\niposix\nsystem\n.",
    "OBJ": b"\x80\x02(" + SYSTEM + b"X\x0c\x00\x00\x00touch MARKERo.",
    "text REDUCE": SYSTEM + b"(S'touch MARKER'\ntR.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch MARKER\x85R.",
    "dotted STACK_GLOBAL": b"\x80\x04\x8c\x05torch\x8c\x0fos.path.os.kill\x93)R.",
    "dotted through ours": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n)R.",
    "NEWOBJ_EX": b"\x80\x04" + SYSTEM + b")}\x92.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "text persistent id": b"\x80\x02Pposix.system\n.",
    "BUILD on a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x08\x00\x00\x00__code__K\x01sb.",
    "BUILD on a class": b"\x80\x02ccollections\nOrderedDict\nN}X\x07\x00\x00\x00__new__" + SYSTEM + b"s\x86b.",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_other_ways_to_reach_a_function(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    zip_with(PROGRAMS[kind], tmp_path / "bad.pth")
    with pytest.raises(SixteenfoldError, match="refused, it"):
        read_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "MARKER").exists()


def test_names_are_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    # an object of trap.Trap whose state has a tensor: inert, so it is read as a module of one parameter
    state = {"_parameters": {"w": torch.ones(1)}}
    torch.save(state, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        program = archive.read("a/data.pkl")
        content = archive.read("a/data/0")
    zip_with(b"\x80\x02ctrap\nTrap\n)\x81" + program[2:-1] + b"b.", tmp_path / "b.pth", {"0": content})
    assert read_checkpoint(tmp_path / "b.pth") == {"w": torch.ones(1)}
    assert "trap" not in sys.modules


def pickled_tensor(elements: int, offset: int, size: tuple, stride: tuple, name: str = "w") -> bytes:
    """A program for {name: tensor} with any numbers in it."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: object):
            return ("storage", torch.FloatStorage, "0", "cpu", elements) if obj is storage else None

    storage = object()
    tensor = Call(_rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())
    buffer = io.BytesIO()
    Pickler(buffer, 2).dump({name: tensor})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("elements", "offset", "size", "stride"),
    [
        (2**40, 0, (2**40,), (1,)),  # a storage of 4 TB in a file of 16 bytes
        (4, 0, (2**20, 2**20), (0, 0)),  # one number repeated to 4 TB
        (4, 3, (2,), (1,)),
        (4, 0, (2,), (4,)),
        (4, -1, (1,), (1,)),
        (4, 0, (2,), (-1,)),
        (5, 0, (5,), (1,)),
        (4, 0, (4,), (1, 1)),
        (4, 0, ("4",), (1,)),
        (4, 2**70, (1,), (1,)),
    ],
)
def test_false_sizes_are_refused(tmp_path: Path, elements: int, offset: int, size: tuple, stride: tuple) -> None:
    zip_with(pickled_tensor(4, 0, (4,), (1,)), tmp_path / "good.pth", {"0": bytes(16)})
    assert torch.equal(read_checkpoint(tmp_path / "good.pth")["w"], torch.zeros(4))
    zip_with(pickled_tensor(elements, offset, size, stride), tmp_path / "bad.pth", {"0": bytes(16)})
    with pytest.raises(SixteenfoldError, match="damaged or not a checkpoint"):
        read_checkpoint(tmp_path / "bad.pth")


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickled_tensor(2**20, 0, (2**20,), (1,)))
        archive.writestr("a/data/0", bytes(2**22))
    with pytest.raises(SixteenfoldError, match="compressed"):
        read_checkpoint(tmp_path / "bomb.pth")


def test_a_file_that_does_not_fit_into_memory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"conv_first.weight": torch.zeros(8, 3, 3, 3)}, tmp_path / "large.pth")

    def without_memory(*arguments: object) -> None:
        raise MemoryError

    monkeypatch.setattr(TorchFile, "tensor", without_memory)
    with pytest.raises(SixteenfoldError, match=r"large\.pth: does not fit into memory; give a checkpoint"):
        convert(tmp_path / "large.pth", tmp_path / "out.safetensors")


def test_many_views_of_one_storage_do_not_fill_the_memory(tmp_path: Path) -> None:
    base = torch.zeros(4096)
    torch.save({str(i): base[:] for i in range(500)}, tmp_path / "views.pth")
    with pytest.raises(SixteenfoldError, match="more elements than the file has bytes"):
        read_checkpoint(tmp_path / "views.pth")


NUMBERS = b"(" + b"K\x01" * 2000 + b"tq\x00"
PAIRS = b"](" + b"".join(b"M" + struct.pack("<H", i) + b"N\x86" for i in range(2000)) + b"eq\x00"
REPEATED = {
    "torch.Size": NUMBERS + b"](" + b"ctorch\nSize\nh\x00\x85R" * 500 + b"e",
    "OrderedDict": PAIRS + b"](" + b"ccollections\nOrderedDict\nh\x00\x85R" * 500 + b"e",
    "OrderedDict of one pair": NUMBERS + b"](" + b"ccollections\nOrderedDict\n]h\x00a\x85R" * 500 + b"e",
    "arguments": NUMBERS + b"](" + b"ctorch\ndevice\nh\x00R" * 500 + b"e",
}


@pytest.mark.parametrize("kind", REPEATED)
def test_a_list_that_calls_repeat_does_not_fill_the_memory(tmp_path: Path, kind: str) -> None:
    zip_with(b"\x80\x02" + REPEATED[kind] + b"\x86.", tmp_path / "many.pth")
    with pytest.raises(SixteenfoldError, match=r"more than (8 dimensions|it holds)|too many values to unpack"):
        read_checkpoint(tmp_path / "many.pth")


def test_what_modules_share_is_not_looked_at_without_end(tmp_path: Path) -> None:
    shared = {f"{i:03}": None for i in range(1000)}
    module = nn.Module()
    for _ in range(12):  # 4096 paths, each of them to all these names
        outer = nn.Module()
        outer._modules = {"a": module, "b": module}
        vars(outer)["_parameters"] = shared
        module = outer
    torch.save(module, tmp_path / "shared.pth")
    with pytest.raises(SixteenfoldError, match="without end"):
        read_checkpoint(tmp_path / "shared.pth")


def test_modules_within_themselves_end(tmp_path: Path) -> None:
    loop = nn.Module()
    loop._modules["again"] = loop
    torch.save(loop, tmp_path / "loop.pth")
    wide = nn.Module()
    for _ in range(40):  # 2**40 paths
        outer = nn.Module()
        outer.a = outer.b = wide
        wide = outer
    torch.save(wide, tmp_path / "wide.pth")
    for name in ("loop.pth", "wide.pth"):
        with pytest.raises(SixteenfoldError, match="without end"):
            read_checkpoint(tmp_path / name)


def test_damaged_files_give_one_line(tmp_path: Path, tiny: Generator) -> None:
    """Cut short, or with bytes changed: read or refused, never a traceback of another kind."""
    rng = random.Random(0)
    for zipped in (True, False):
        torch.save(tiny, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        whole = (tmp_path / "a.pth").read_bytes()
        for trial in range(60):
            data = bytearray(whole)
            if trial < 15:
                data = data[: rng.randrange(len(data))]
            else:
                for _ in range(5):
                    data[rng.randrange(min(len(data), 20_000))] = rng.randrange(256)
            (tmp_path / "b.pth").write_bytes(data)
            message = complaint(tmp_path / "b.pth")
            assert message is None or ("b.pth" in message and "\n" not in message)


def complaint(path: Path) -> str | None:
    """What is said of a file; any other error than ours goes through."""
    try:
        build(read_checkpoint(path), path)
    except SixteenfoldError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist; check the name"),
        (b"", "not a checkpoint"),
        (b"hello, this is text", "not a checkpoint"),
        (struct.pack("<Q", 2**40) + b'{"a":', "damaged safetensors"),
        (struct.pack("<Q", 20) + b'{"a":', "damaged safetensors"),
        (struct.pack("<Q", 7) + b'{"a":1}', r"damaged safetensors \(.*\); fetch it again"),
        (pickle.dumps({"a": 1}, 2)[:-3], "damaged or not a checkpoint .*; fetch it again"),
    ],
)
def test_other_files(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "f.pth").write_bytes(content)
    with pytest.raises(SixteenfoldError, match=message):
        read_checkpoint(tmp_path / "f.pth")


def saved(content: object, *, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def zip_of(name: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(name, "x" * 99)
    return buffer.getvalue()


def safetensors_of(kind: str) -> bytes:
    header = json.dumps({"stem.weight": {"dtype": kind, "shape": [8], "data_offsets": [0, 6]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (saved([torch.zeros(2)]), "holds no named tensors of a network, but a list"),
        (saved([torch.zeros(2)], zipped=False), "holds no named tensors of a network, but a list"),
        (saved(torch.zeros(2)), "but a tensor;"),
        (saved(None), "but None;"),
        (saved({"w": torch.zeros(2).to(torch.float8_e5m2)}), "stores numbers as float8 or another type of PyTorch 2"),
        (saved({"w": torch.zeros(2, dtype=torch.complex64)}), "stores numbers as 'torch.ComplexFloatStorage', not as"),
        (saved({(1, 2): torch.zeros(2)}), "keys that are neither text nor numbers"),
        (pickle.dumps({"a": 1}, 2), "is a pickle, but not one of torch.save; give a state dict or a module"),
        (zip_of("a.txt"), "is an archive, but not one of torch.save; give"),
        (zip_of("a.txt", zipfile.ZIP_DEFLATED), "compressed archive"),
        (safetensors_of("F6_E2M3"), "cannot be converted to float32, 'stem.weight' of type F6_E2M3; give"),
        (safetensors_of("F8_ODD"), "stores numbers as 'F8_ODD', which this version of safetensors does not know; give"),
    ],
)
def test_what_is_whole_but_no_weights_need_not_be_fetched_again(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "f.pth").write_bytes(content)
    said = complaint(tmp_path / "f.pth")
    assert said is not None and re.search(message, said), said
    assert "damaged" not in said and "fetch it again" not in said


def test_a_checkpoint_in_a_closed_folder(public: Path, as_nobody: AbstractContextManager[None]) -> None:
    (public / "shut").mkdir(0)
    with as_nobody, pytest.raises(SixteenfoldError, match=r"f\.pth: is not readable; change its permissions"):
        read_checkpoint(public / "shut" / "f.pth")


def test_of_a_folder_the_weights_in_it_are_named(tmp_path: Path) -> None:
    with pytest.raises(SixteenfoldError, match=r"cannot be read \(Is a directory\)"):
        read_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(
        SixteenfoldError, match=rf": is a folder; give the weights in it, {tmp_path}.model\.safetensors$"
    ):
        read_checkpoint(tmp_path)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f.pth")
    with pytest.raises(SixteenfoldError, match="not a regular file"):
        read_checkpoint(tmp_path / "f.pth")


def test_a_file_without_a_network_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "scheduler": {"last": 1}}, tmp_path / "f.pth")
    with pytest.raises(SixteenfoldError, match="holds no named tensors of a network, but 'epoch', 'scheduler'"):
        read_checkpoint(tmp_path / "f.pth")
