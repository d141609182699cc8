from pathlib import Path

import numpy as np
import pytest
import pyvips
import torch

from sixteenfold.errors import SixteenfoldError
from sixteenfold.training import photographs as module
from sixteenfold.training.index import Entry, Index
from sixteenfold.training.phases import DataConfig
from sixteenfold.training.photographs import Kept, Window, decode, open_photographs


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """Five plain pictures, known by their grey."""
    folder = tmp_path_factory.mktemp("set")
    made: list[Entry] = []
    for i in range(5):
        path = folder / f"{i}.png"
        pyvips.Image.new_from_array(np.full((8, 9, 3), 10 * i, dtype=np.uint8)).write_to_file(str(path))
        made.append(Entry(path, 8, 9))
    return made


def greys(pictures: object) -> list[int]:
    return [int(picture[0, 0, 0]) // 10 for picture in pictures]  # type: ignore[attr-defined]


def test_a_window_moves_by_one_after_its_crops(entries: list[Entry]) -> None:
    Window(entries, size=3, ahead=8, crops=4, seed=2**63 - 1).at(0)
    window = Window(entries, size=3, ahead=8, crops=4, seed=0)
    seen = [greys(window.at(crops)) for crops in range(40)]
    assert seen[0] == seen[3] != seen[4]
    assert all(seen[i][1:] == seen[i + 4][:2] for i in range(36))


def test_every_round_has_every_photograph_once(entries: list[Entry]) -> None:
    window = Window(entries, size=1, ahead=8, crops=1, seed=0)
    order = [greys(window.at(crops))[0] for crops in range(20)]
    rounds = [order[i : i + 5] for i in range(0, 20, 5)]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in rounds)
    assert any(one != rounds[0] for one in rounds)


def test_a_window_depends_on_its_place_alone(entries: list[Entry]) -> None:
    """So that a resumed run sees what the run would have seen."""
    gone_there, jumped = (Window(entries, size=3, ahead=8, crops=2, seed=7) for _ in range(2))
    for crops in range(30):
        gone_there.at(crops)
    assert greys(gone_there.at(30)) == greys(jumped.at(30))
    assert greys(Window(entries, size=3, ahead=8, crops=2, seed=8).at(30)) != greys(jumped.at(30)) or greys(
        Window(entries, size=3, ahead=8, crops=2, seed=8).at(0)
    ) != greys(Window(entries, size=3, ahead=8, crops=2, seed=7).at(0))


def test_broken_photographs_are_left_out_and_listed_once(entries: list[Entry], tmp_path: Path) -> None:
    broken = Entry(tmp_path / "broken.png", 8, 9)
    broken.path.write_bytes(entries[0].path.read_bytes()[:-40])
    window = Window([*entries, broken], size=6, ahead=8, crops=1, seed=0)
    for crops in range(12):
        assert len(window.at(crops)) >= 4
    assert len(window.skipped) == 1 and "broken.png" in window.skipped[0]
    kept = Kept([*entries, broken], torch.device("cpu"))
    assert greys(kept.at(0)) == [0, 1, 2, 3, 4] and len(kept.skipped) == 1
    with pytest.raises(SixteenfoldError, match="no usable picture"):
        Kept([broken], torch.device("cpu"))
    with pytest.raises(SixteenfoldError, match=r"no photograph can be read: .*broken"):
        Window([broken], size=2, ahead=8, crops=1, seed=0).at(0)
    # A window of which all are damaged does not end the run: the next good one stands in.
    alone = Window([entries[0], broken, entries[1]], size=1, ahead=1, crops=1, seed=0)
    assert all(len(alone.at(crops)) == 1 for crops in range(9))
    assert len(alone.skipped) == 1


def test_a_picture_that_has_changed_is_told(entries: list[Entry]) -> None:
    with pytest.raises(SixteenfoldError, match="not the picture that was there"):
        decode(Entry(entries[0].path, 80, 90))


def test_a_set_is_kept_if_it_fits(entries: list[Entry]) -> None:
    index = Index(tuple(entries), ())
    bytes_of_all = 5 * 3 * 8 * 9
    for memory, kind in ((bytes_of_all / 1e9, Kept), ((bytes_of_all - 1) / 1e9, Window)):
        assert type(open_photographs(index, DataConfig(memory=memory), 0, torch.device("cpu"))) is kind


@pytest.mark.parametrize(("photographs", "opened"), [(4.9, 2), (3, 2), (2, 1), (0.5, 1)])
def test_a_window_holds_what_fits_with_what_is_decoded_ahead(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch, photographs: float, opened: int
) -> None:
    decoded: list[Path] = []
    monkeypatch.setattr(module, "decode", lambda entry: (decoded.append(entry.path), decode(entry))[1])
    config = DataConfig(memory=photographs * 3 * 8 * 9 / 1e9)
    window = open_photographs(Index(tuple(entries), ()), config, 0, torch.device("cpu"))
    assert isinstance(window, Window) and len(window.at(0)) == opened
    window._pool.shutdown()  # what is decoded ahead is then decoded
    assert opened <= len(decoded) <= max(2, photographs)
