"""Decoded photographs: all at once where they fit in memory, else a window that moves over them.

What a step sees depends on the index, the configuration and the number of crops before it alone, so
that a resumed run sees the same.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from sixteenfold.errors import SixteenfoldError, first_few
from sixteenfold.imaging.color import to_8_bit_rgb
from sixteenfold.imaging.read import read
from sixteenfold.training.index import Entry, Index
from sixteenfold.training.phases import DataConfig

THREADS = 4
"""That decode at once before the first step, while nothing else is to be done."""
AHEAD = 8
"""Most photographs that are decoded before the window reaches them."""


class Photographs(Protocol):
    """Where crops are cut."""

    skipped: list[str]
    """A line for each photograph that could not be decoded; longer as more are opened. In all processes the same, where
    all read the same files."""

    def at(self, crops: int) -> Sequence[Tensor]:
        """The photographs, each (3, H, W) uint8, open to a step before which this many crops were cut."""
        ...


class Kept:
    """All photographs, decoded once. Raises SixteenfoldError if none can be."""

    def __init__(self, entries: Iterable[Entry], device: torch.device) -> None:
        def attempt(entry: Entry) -> Tensor | str:
            try:
                return decode(entry).to(device)
            except SixteenfoldError as error:
                return str(error)

        with ThreadPoolExecutor(THREADS) as pool:
            found = list(pool.map(attempt, entries))
        self.skipped = [reason for reason in found if isinstance(reason, str)]
        self._pictures = [picture for picture in found if isinstance(picture, Tensor)]
        if not self._pictures:
            raise _none_usable(self.skipped)

    def at(self, crops: int) -> Sequence[Tensor]:
        """As `Photographs.at`: always all."""
        return self._pictures


class Window:
    """A few photographs at a time, each open to many crops before the next takes its place.

    The photographs come in a random order, drawn anew for each round over the set.

    Args:
        entries: The set.
        size: Photographs open at a time.
        ahead: Photographs decoded before their turn.
        crops: Crops after which the window moves on by one photograph.
        seed: Chooses the order.
    """

    def __init__(self, entries: Sequence[Entry], size: int, ahead: int, crops: int, seed: int) -> None:
        self.skipped: list[str] = []
        self._entries = entries
        self._size, self._ahead, self._crops, self._seed = size, ahead, crops, seed
        self._order: dict[int, Tensor] = {}
        self._decoded: dict[int, Future[Tensor]] = {}
        self._pool = ThreadPoolExecutor(2)

    def at(self, crops: int) -> Sequence[Tensor]:
        """As `Photographs.at`.

        If all of the window's photographs are damaged, the next good one takes their place.

        Raises:
            SixteenfoldError: If none of the set can be decoded.
        """
        first = crops // self._crops
        for place in range(first, first + self._size + self._ahead):
            self._decoding(place)
        for place in [place for place in self._decoded if place < first]:
            self._decoded.pop(place).cancel()
        found = [self._picture(place) for place in range(first, first + self._size)]
        # Two rounds' worth of places hold each photograph at least once.
        for place in range(first + self._size, first + self._size + 2 * len(self._entries)):
            if any(picture is not None for picture in found):
                break
            found.append(self._picture(place))
        pictures = [picture for picture in found if picture is not None]
        if not pictures:
            raise SixteenfoldError(f"no photograph can be read: {first_few(self.skipped)}")
        return pictures

    def _entry(self, place: int) -> Entry:
        """The photograph at a place of the endless row of rounds."""
        turn, within = divmod(place, len(self._entries))
        if turn not in self._order:
            random = torch.Generator().manual_seed((self._seed * 1_000_003 + turn) % 2**63)
            self._order = {turn: torch.randperm(len(self._entries), generator=random)}
        return self._entries[int(self._order[turn][within])]

    def _decoding(self, place: int) -> Future[Tensor]:
        """The decoding of the photograph at a place, begun now if it was not."""
        if place not in self._decoded:
            self._decoded[place] = self._pool.submit(decode, self._entry(place))
        return self._decoded[place]

    def _picture(self, place: int) -> Tensor | None:
        try:
            return self._decoding(place).result()
        except SixteenfoldError as error:
            if str(error) not in self.skipped:
                self.skipped.append(str(error))
            return None


def open_photographs(index: Index, config: DataConfig, seed: int, device: torch.device) -> Photographs:
    """The set in memory if it fits (on the device if it fits there four times), else a window of what does."""
    size = sum(entry.size for entry in index.entries)
    if size > config.memory * 1e9:
        fit = _how_many_fit(index.entries, config.memory * 1e9)
        ahead = min(AHEAD, fit // 2)
        return Window(index.entries, min(config.window, fit - ahead), ahead, config.crops, seed)
    fits = device.type == "cuda" and 4 * size < torch.cuda.mem_get_info(device)[0]
    return Kept(index.entries, device if fits else torch.device("cpu"))


def _how_many_fit(entries: Iterable[Entry], memory: float) -> int:
    """How many photographs can be held in so many bytes, be they the largest; 2 at least, as one is decoded ahead.

    Each may be held twice: at the end of a round over the set, and at the beginning of the next.
    """
    total = accumulate(sorted((entry.size for entry in entries for _ in range(2)), reverse=True))
    return max(2, sum(size <= memory for size in total))


def check_decodable(entries: Iterable[Entry]) -> None:
    """Raise SixteenfoldError unless one of them can be decoded: a header says little of what follows."""
    reasons: list[str] = []
    for entry in entries:
        try:
            decode(entry)
            return
        except SixteenfoldError as error:
            reasons.append(str(error))
    raise _none_usable(reasons)


def _none_usable(reasons: Sequence[str]) -> SixteenfoldError:
    return SixteenfoldError(f"no usable picture: {first_few(reasons)}")


def decode(entry: Entry) -> Tensor:
    """A photograph as (3, H, W) uint8, grey as three equal channels.

    Raises:
        SixteenfoldError: If it cannot be read, or has another size than when it was measured.
    """
    picture = to_8_bit_rgb(read(entry.path).pixels)
    if sorted(picture.shape[-2:]) != sorted((entry.height, entry.width)):
        raise SixteenfoldError(f"{entry.path}: not the picture that was there when the run began")
    return picture
