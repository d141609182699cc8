"""Files of `torch.save`, their objects read as data (see `unpickle`) and their tensors one at a time.

Both of torch's formats are read: the zip archive of 1.6 and later, and the row of pickles before it, in
which the authors' checkpoints were written by 1.2. Sizes that a file declares are believed only as far
as the file is long.
"""

import mmap
import struct
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError
from sixteenfold.files.ordinary import unreadable
from sixteenfold.networks.records import RefusedError, Storage, StoredTensor, UnfitError, shown
from sixteenfold.networks.unpickle import Machine

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
ZIP_START = b"PK\x03\x04"
PICKLE_START = b"\x80"


class TorchFile:
    """An open file of `torch.save`."""

    def __init__(self, content: object, fetch: Callable[[str], bytearray], size: int) -> None:
        self.content = content
        """The saved object: containers, numbers, text, `Record`, `Global`, `StoredTensor`."""
        self._fetch = fetch
        self._flat: dict[str, Tensor] = {}
        # Tensors may share a storage, so a small file could ask for any amount of memory. Every
        # honest file has at least one byte for an element.
        self._elements_left = size

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read one tensor, floats as float32, contiguous, in memory of its own."""
        self._elements_left -= stored.elements
        if self._elements_left < 0:
            raise ValueError("has tensors of more elements than the file has bytes")
        storage = stored.storage
        if storage.key not in self._flat:
            content = self._fetch(storage.key)
            # frombuffer refuses an empty buffer
            empty = torch.empty(0, device="cpu")
            self._flat[storage.key] = torch.frombuffer(content, dtype=storage.dtype) if content else empty
        flat = self._flat[storage.key][storage.start : storage.start + storage.elements]
        if flat.numel() != storage.elements:
            raise ValueError(f"has less in storage {shown(storage.key)} than it declares")
        view = flat[stored.offset :].as_strided(stored.size, stored.stride)
        return floats_in_float32(view, copy=True)


def floats_in_float32(tensor: Tensor, *, copy: bool = False) -> Tensor:
    """A tensor in floating point as float32, contiguous; one of other numbers in its own type."""
    kind = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.to(kind, copy=copy, memory_format=torch.contiguous_format)


@contextmanager
def open_torch_file(path: Path) -> Generator[TorchFile]:
    """Open a file of `torch.save`, of either format, whatever it is called.

    Raises:
        SixteenfoldError: If it is neither, is damaged, holds something else, or asks for a call that tensors do not
            need; raised by what is done with the open file too.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(ZIP_START))
        if start == ZIP_START:
            with zipfile.ZipFile(path) as archive:
                yield _read_zip(archive, path.stat().st_size)
        elif start.startswith(PICKLE_START):
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                yield _read_legacy(view)
        else:
            raise SixteenfoldError(f"{path}: not a checkpoint; give a PyTorch .pth or .pt file, or a .safetensors file")
    except OSError as error:
        raise unreadable(path, error) from None
    except RefusedError as error:
        raise SixteenfoldError(
            f"{path}: refused, it {error}, which tensors do not need; nothing in it was run. "
            "If you trust its source, save the network's state_dict() alone and convert that"
        ) from None
    except UnfitError as error:
        raise SixteenfoldError(
            f"{path}: {error}; give a state dict or a module of this network, as torch.save or safetensors writes it"
        ) from None
    except (ValueError, LookupError, TypeError, RuntimeError, struct.error, zipfile.BadZipFile, EOFError) as error:
        cause = " ".join(str(error).split())[:200]
        raise SixteenfoldError(f"{path}: damaged or not a checkpoint ({cause}); fetch it again") from None


def _read_zip(archive: zipfile.ZipFile, size: int) -> TorchFile:
    """The format of torch 1.6 and later: `NAME/data.pkl`, and a storage a file in `NAME/data/`."""
    entries = {entry.filename: entry for entry in archive.infolist()}
    # torch never compresses. So whatever is unpacked is no larger than the file, and entries that
    # lie over each other to make it seem larger are found by adding up.
    if any(entry.file_size != entry.compress_size or entry.compress_type for entry in entries.values()):
        raise UnfitError("is a compressed archive, which torch.save never writes")
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ValueError("is an archive whose parts are larger than the whole")
    programs = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(programs) != 1:
        raise UnfitError("is an archive, but not one of torch.save")
    root = programs[0].removesuffix("data.pkl")
    if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
        raise UnfitError("was written on a big-endian machine")
    return TorchFile(
        Machine().run(archive.read(programs[0])), lambda key: bytearray(archive.read(f"{root}data/{key}")), size
    )


def _read_legacy(view: mmap.mmap) -> TorchFile:
    """The format up to torch 1.5: five pickles, then for each storage its length and its numbers."""
    machine = Machine()
    stream = cast(IO[bytes], view)  # it has the three methods that reading a pickle needs
    if machine.run(stream) != LEGACY_MAGIC or machine.run(stream) != LEGACY_PROTOCOL:
        raise UnfitError("is a pickle, but not one of torch.save")
    system = machine.run(stream)
    if not isinstance(system, dict) or cast(dict[object, object], system).get("little_endian") is not True:
        raise UnfitError("was written on a big-endian machine")
    content = machine.run(stream)
    spans = _legacy_spans(view, machine.run(stream), machine.storages)

    def fetch(key: str) -> bytearray:
        start, end = spans[key]
        return bytearray(view[start:end])

    return TorchFile(content, fetch, len(view))


def _legacy_spans(view: mmap.mmap, keys: object, storages: dict[str, Storage]) -> dict[str, tuple[int, int]]:
    """Where in a legacy file the numbers of each storage begin and end."""
    if not isinstance(keys, list):
        raise ValueError("has no list of storages")
    spans: dict[str, tuple[int, int]] = {}
    position = view.tell()
    for key in cast(list[object], keys):
        if not isinstance(key, str) or key not in storages:
            raise ValueError(f"holds a storage {shown(key)} that no tensor uses")
        storage = storages[key]
        (elements,) = struct.unpack_from("<q", view, position)
        start = position + 8
        position = start + elements * storage.dtype.itemsize
        if elements != storage.elements or position > len(view):
            raise ValueError(f"ends within storage {shown(key)}")
        spans[key] = (start, position)
    return spans
