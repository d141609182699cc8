"""The HTML report: whole in itself, and alive in a real browser."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
import torch

from sixteenfold.evaluation.page import Gallery, write_page
from sixteenfold.evaluation.pictures import exhibit
from sixteenfold.evaluation.scores import ImageScores, MethodScores, Scores
from sixteenfold.evaluation.scoring import find_metrics

from .conftest import picture

BROWSER = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
PROBE = """<script>
const range = document.querySelector("input[type=range]");
range.value = 25;
range.dispatchEvent(new Event("input"));
const right = document.querySelectorAll("select")[1];
right.value = 2;
right.dispatchEvent(new Event("input"));
const images = [...document.querySelectorAll("img")];
Promise.all(images.map((image) => image.decode())).then(() => {
  document.querySelector(".crop").click();
  document.body.dataset.probe = JSON.stringify({
    clips: [...document.querySelector(".slider").querySelectorAll("img")].map((image) => image.style.clipPath),
    hidden: [...document.querySelector(".slider").querySelectorAll("img")].map((image) => image.hidden),
    handle: document.querySelector(".handle").style.left,
    zoomed: [...document.querySelectorAll(".row")].map((row) => row.classList.contains("zoomed")),
    pressed: document.querySelectorAll(".crop[aria-pressed=true]").length,
    cropWidth: document.querySelector(".crop img").offsetWidth,
    loaded: images.filter((image) => image.naturalWidth > 0).length,
    first: document.querySelector(".picture h3").textContent,
    overflow: document.documentElement.scrollWidth > innerWidth,
  });
});
</script></body>"""


def page(target: Path, methods: tuple[str, ...] = ("ours", "bicubic"), count: int = 2) -> str:
    gallery = Gallery()
    for i in range(count):
        shown = {name: torch.from_numpy(picture(i + j)) for j, name in enumerate(("original", *methods))}
        gallery.add(exhibit(f"<p{i}>", {name: pixels.permute(2, 0, 1)[None] for name, pixels in shown.items()}))
    scored = tuple(
        MethodScores(
            name, tuple(ImageScores(f"<p{i}>", {"psnr": 20.0 + i * j, "lpips": 0.5 + 0.1 * i}) for i in range(count))
        )
        for j, name in enumerate(methods)
    )
    metrics = find_metrics(["psnr", "lpips"], has_lr=False)
    write_page(Scores("full", metrics, scored, {"rounding": "8 bits"}, ("a note",), ()), gallery, target)
    gallery.close()
    return target.read_text()


def test_needs_nothing_beside_itself(tmp_path: Path) -> None:
    text = page(tmp_path / "report.html")
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert sources and all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "http://" not in text and "https://" not in text
    assert "<h3>&lt;p1&gt;</h3>" in text and "<p1>" not in text
    assert text.index("&lt;p1&gt;</h3>") < text.index("&lt;p0&gt;</h3>")
    assert "a note" in text and "rounding: 8 bits" in text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_one_method_alone(tmp_path: Path) -> None:
    text = page(tmp_path / "report.html", methods=("ours",), count=1)
    assert "minus the other" not in text
    assert "PSNR, picture by picture" in text


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_in_a_browser(tmp_path: Path) -> None:
    assert BROWSER is not None
    text = page(tmp_path / "report.html")
    (tmp_path / "probe.html").write_text(text.replace("</body>", PROBE))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=5000", "--dump-dom", (tmp_path / "probe.html").as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r'data-probe="([^"]*)"', dom)
    assert found is not None
    probe = json.loads(unescape(found.group(1)))
    assert probe["clips"] == ["", "inset(0px 75% 0px 0px)", ""]
    assert probe["hidden"] == [True, False, False]
    assert probe["handle"] == "25%"
    assert probe["zoomed"][0] and not any(probe["zoomed"][1:])
    assert probe["pressed"] == 3
    assert probe["cropWidth"] == 64
    assert probe["loaded"] == dom.count("<img ")
    assert probe["first"] == "<p1>"
    assert not probe["overflow"]
