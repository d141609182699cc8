"""`convert`: checkpoints made elsewhere to .safetensors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from sixteenfold.errors import one_line
from sixteenfold.verbs.telling import say
from sixteenfold.words import Flag


@dataclass(frozen=True)
class Convert:
    """Convert a checkpoint of the authors, or of another RRDB x4x4, to .safetensors; no code in it is run."""

    src: Annotated[Positional[Path], arg(metavar="SRC")]
    """Checkpoint written by torch.save or safetensors."""
    dst: Annotated[Positional[Path], arg(metavar="DST")]
    """The .safetensors file to write."""
    overwrite: Flag = False
    """Replace DST if it exists; without this an existing DST is left alone."""

    def run(self) -> int:
        """Convert, and return the exit status."""
        from sixteenfold.files.places import file_there
        from sixteenfold.networks.convert import convert

        # convert() refuses another ending and a source that is no file; both checks come before skipping.
        sound = self.dst.suffix == ".safetensors" and file_there(self.src)
        if sound and file_there(self.dst) and not self.overwrite:
            say(one_line(f"{self.dst}: skipped, it already exists; --overwrite replaces it"))
            return 0
        print(one_line(f"{self.dst}: {convert(self.src, self.dst)}"))
        return 0
