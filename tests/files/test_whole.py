from pathlib import Path

import pytest

from sixteenfold.files.whole import write_whole


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a"
    write_whole(target, b"first")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            write_whole(target, b"second")
    assert target.read_bytes() == b"first"
    write_whole(target, memoryview(b"third"))
    assert target.read_bytes() == b"third" and list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        write_whole(tmp_path / "file" / "a", b"content")
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "nowhere" / "a", b"content")
