"""Put a trained network among the shipped models: weights as float16, figures from its own report.

    python tools/ship.py NAME WEIGHTS WORDS.json REPORT...

WEIGHTS is what training left. WORDS.json is the card but for what is read off here: the shape, the figures, the
weights' hash. Each REPORT is the folder of a `sixteenfold evaluate --synthesize --baseline bicubic` of the float16
file, which is why this is done twice: first without a report, to have the file that is to be measured.
"""

import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import torch

from sixteenfold.networks import zoo
from sixteenfold.networks.state import digest, save, shape_of


def main(name: str, weights: Path, words: Path, reports: list[Path]) -> None:
    target = zoo.MODELS / f"{name}.safetensors"
    generator = zoo.load(weights)
    card = {
        "name": name,
        **json.loads(words.read_text(encoding="utf-8")),
        "shape": dataclasses.asdict(shape_of(generator)),
        "figures": {key: value for report in reports for key, value in figures(report).items()},
    }
    # Weights and card replace the shipped ones together, once both are there: each is useless with the other's old one.
    zoo.MODELS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=zoo.MODELS) as folder:
        made = Path(folder) / target.name
        save(generator, made, {}, torch.float16)
        card["sha256"] = digest(zoo.load(made))
        made.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for file in (made, made.with_suffix(".json")):
            file.replace(zoo.MODELS / file.name)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB; {zoo.card(name).figures}")


def figures(report: Path) -> dict[str, float]:
    """The means of a report, and bicubic's, each under a name that says on what and in which unit."""
    scores = json.loads((report / "scores.json").read_text(encoding="utf-8"))
    count = len(scores["images"])
    where = f"{count} validation photographs, {'whole' if scores['protocol'] == 'full' else 'centre 1000x1000'}"
    units = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS", "lr_psnr": "LR-PSNR (dB)"}
    found: dict[str, float] = {}
    for key, value in scores["mean"].items():
        if key in units:
            found[f"{units[key]}, {where}"] = round(value, 4)
            found[f"{units[key]} of bicubic, {where}"] = round(scores["methods"]["bicubic"]["mean"][key], 4)
    return found


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), [Path(word) for word in sys.argv[4:]])
