"""Weights in pieces small enough to travel: cut, or put together again.

    python tools/gpu_session/pieces.py cut model.safetensors FOLDER [--half]
    python tools/gpu_session/pieces.py join FOLDER model.safetensors

FOLDER gets model.safetensors-SHA256.0, .1 and so on, of at most 15 MiB each. --half stores numbers in 16 bits:
`sixteenfold` reads them as fp32. `join` refuses what is not whole.
"""

import hashlib
import sys
from pathlib import Path

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
    pieces = sorted(folder.glob(f"{target.name}-*"), key=lambda path: int(path.suffix[1:]))
    digests = {path.stem.rpartition("-")[2] for path in pieces}
    content = b"".join(path.read_bytes() for path in pieces)
    if digests != {hashlib.sha256(content).hexdigest()[:16]}:
        sys.exit(f"{folder}: the {len(pieces)} pieces found of {target.name} do not make one whole file")
    target.write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1:])
