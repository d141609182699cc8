"""Weights in pieces small enough to travel: cut, or put together again.

    python tools/gpu_session/pieces.py cut model.safetensors FOLDER [--half]
    python tools/gpu_session/pieces.py join FOLDER model.safetensors

FOLDER gets model.safetensors-SHA256.0, .1 and so on, of at most 15 MiB each. --half stores numbers in 16 bits:
`sixteenfold` reads them as fp32. `join` refuses what is not whole, and replaces
an earlier model.safetensors.
"""

import hashlib
import re
import sys
from pathlib import Path

import safetensors
import safetensors.torch

SIZE = 15 * 2**20  # a file may have 16 on its way home, and nothing says whether just 16 would pass


def main(words: list[str]) -> None:
    match words:
        case ["cut", source, folder, *half] if half in ([], ["--half"]):
            cut(Path(source), Path(folder), half=bool(half))
        case ["join", folder, target]:
            join(Path(folder), Path(target))
        case _:
            sys.exit(__doc__)


def cut(source: Path, folder: Path, *, half: bool) -> None:
    """Write the pieces of a file of weights."""
    content = source.read_bytes()
    if half:
        content = safetensors.torch.save({name: t.half() for name, t in safetensors.torch.load(content).items()})
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{source.name}-{hashlib.sha256(content).hexdigest()[:16]}"
    for i, start in enumerate(range(0, len(content), SIZE)):
        (folder / f"{name}.{i}").write_bytes(content[start : start + SIZE])


def join(folder: Path, target: Path) -> None:
    """Put together the pieces in the folder whose name begins as the target's does."""
    found: dict[str, dict[int, Path]] = {}
    for path in folder.iterdir():
        if match := re.fullmatch(rf"{re.escape(target.name)}-([0-9a-f]{{16}})\.(\d+)", path.name):
            found.setdefault(match[1], {})[int(match[2])] = path
    if not found:
        sys.exit(f"pieces: {folder}: holds no piece of {target.name}, such as {target.name}-SHA256.0; check both names")
    if len(found) > 1:
        names = ", ".join(f"{target.name}-{digest}" for digest in sorted(found))
        sys.exit(f"pieces: {folder}: holds pieces of several files ({names}); leave those of one, such as the newest")
    digest, pieces = found.popitem()
    if lacking := [f".{i}" for i in range(max(pieces)) if i not in pieces]:
        sys.exit(f"pieces: {folder}: {target.name}-{digest} lacks {', '.join(lacking)}; fetch them again")
    content = b"".join(pieces[i].read_bytes() for i in sorted(pieces))
    if hashlib.sha256(content).hexdigest()[:16] != digest:
        why = f"pieces after .{max(pieces)} are missing, or one was damaged on its way"
        sys.exit(f"pieces: {folder}: {target.name}-{digest} is not whole: {why}; fetch them again")
    target.write_bytes(content)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, safetensors.SafetensorError) as error:
        sys.exit(f"pieces: {error}")
