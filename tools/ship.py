"""Put a trained network among the shipped models: weights as float16, figures from its own report.

    python tools/ship.py NAME WEIGHTS WORDS.json REPORT...

WEIGHTS is what training left. WORDS.json is the card but for what is read off here: the shape, the figures, the
weights' hash. Each REPORT is the folder of a `sixteenfold evaluate --synthesize --baseline bicubic` of the float16
file, which is why this is done twice: first without a report, to have the file that is to be measured. A model that is
shipped under NAME is replaced; git has the old one.
"""

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from sixteenfold.errors import SixteenfoldError, mistakes_told
from sixteenfold.networks import zoo
from sixteenfold.networks.state import digest, save, shape_of


@mistakes_told()
def main() -> None:
    options = parse()
    name: str = options.name
    target = zoo.MODELS / f"{name}.safetensors"
    if target.parent != zoo.MODELS:
        raise SixteenfoldError(f"{name}: is a path; give a name")
    generator = zoo.load(options.weights)
    card = {
        "name": name,
        **read_json(options.words),
        "shape": dataclasses.asdict(shape_of(generator)),
        "figures": {key: value for report in options.reports for key, value in figures(report).items()},
    }
    try:
        if zoo._card(card).name != name:
            raise ValueError(f"of another model, {card['name']!r}")
    except (ValueError, TypeError, KeyError) as error:
        raise SixteenfoldError(f"{options.words}: does not make a card ({error!r}); see the shipped ones") from None
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
    file = report / "scores.json"
    scores = read_json(file)
    if "bicubic" not in scores.get("methods", {}):
        raise SixteenfoldError(f"{file}: does not compare with bicubic; make the report with --baseline bicubic")
    count = len(scores["images"])
    where = f"{count} validation photographs, {'whole' if scores['protocol'] == 'full' else 'centre 1000x1000'}"
    units = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS", "lr_psnr": "LR-PSNR (dB)"}
    found: dict[str, float] = {}
    for key, value in scores["mean"].items():
        if key in units:
            of_bicubic = scores["methods"]["bicubic"]["mean"][key]
            if value is None or of_bicubic is None:
                raise SixteenfoldError(
                    f"{file}: the mean {units[key]} is infinite or none at all; measure other pictures"
                )
            found[f"{units[key]}, {where}"] = round(value, 4)
            found[f"{units[key]} of bicubic, {where}"] = round(of_bicubic, 4)
    return found


def read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SixteenfoldError(f"{file}: is not JSON ({error}); mend it") from None
    if not isinstance(content, dict):
        raise SixteenfoldError(f"{file}: is not an object of JSON; mend it")
    return content


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("weights", metavar="WEIGHTS")
    parser.add_argument("words", type=Path, metavar="WORDS.json")
    parser.add_argument("reports", nargs="*", type=Path, metavar="REPORT")
    return parser.parse_args()


if __name__ == "__main__":
    main()
