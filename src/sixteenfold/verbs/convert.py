"""`convert`: others' checkpoints as .safetensors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sixteenfold.errors import one_line
from sixteenfold.verbs.telling import say
from sixteenfold.words import Flag


@dataclass(frozen=True)
class Convert:
    """Turn a checkpoint of the authors, or another RRDB x4x4, into .safetensors; nothing in it is run."""

    src: Annotated[Positional[Path], arg(metavar="SRC")]
    """The checkpoint, as torch.save or safetensors wrote it."""
    dst: Annotated[Positional[Path], arg(metavar="DST")]
    """The .safetensors file to write."""
    overwrite: Flag = False
    """Replace DST if it exists; without it nothing is done then."""

    def run(self) -> int:
        """Convert, and return the exit status."""
        from sixteenfold.imaging.folders import file_there
        from sixteenfold.networks.convert import convert

        # Another ending is refused whether there is such a file or not, and so is a source that is none.
        sound = self.dst.suffix == ".safetensors" and file_there(self.src)
        if sound and file_there(self.dst) and not self.overwrite:
            say(one_line(f"{self.dst}: skipped, it exists; --overwrite makes it anew"))
            return 0
        print(one_line(f"{self.dst}: {convert(self.src, self.dst)}"))
        return 0
