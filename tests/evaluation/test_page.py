"""The HTML report: whole in itself, and alive in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from sixteenfold.evaluation.page import Gallery, write_page
from sixteenfold.evaluation.pictures import exhibit
from sixteenfold.evaluation.scores import ImageScores, MethodScores, Scores
from sixteenfold.evaluation.scoring import find_metrics

from .browser import CHROMIUM, Browser
from .conftest import picture


def page(
    target: Path, methods: tuple[str, ...] = ("ours", "bicubic"), count: int = 2, size: tuple[int, int] = (64, 80)
) -> str:
    gallery = Gallery()
    for i in range(count):
        shown = {name: torch.from_numpy(picture(i + j, *size)) for j, name in enumerate(("original", *methods))}
        gallery.add(exhibit(f"<p{i}>", {name: pixels.permute(2, 0, 1)[None] for name, pixels in shown.items()}))
    scored = tuple(
        MethodScores(
            name, tuple(ImageScores(f"<p{i}>", {"psnr": 20.0 + i * j, "lpips": 0.5 + 0.1 * i}) for i in range(count))
        )
        for j, name in enumerate(methods)
    )
    metrics = find_metrics(["psnr", "lpips"], has_lr=False)
    facts = {"rounding": "8 bits", "model hash": 8 * "0123abcd"}
    write_page(Scores("full", metrics, scored, facts, ("a note",), ()), gallery, target)
    gallery.close()
    return target.read_text()


def test_needs_nothing_beside_itself(tmp_path: Path) -> None:
    text = page(tmp_path / "report.html")
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', text)
    assert sources and all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "http://" not in text and "https://" not in text
    assert "<h3>&lt;p1&gt;</h3>" in text and "<p1>" not in text
    assert text.index("&lt;p1&gt;</h3>") < text.index("&lt;p0&gt;</h3>")
    assert "Crops are the compared pixels without loss" in text
    assert "a note" in text and "rounding: 8 bits" in text
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_one_method_alone(tmp_path: Path) -> None:
    text = page(tmp_path / "report.html", methods=("ours",), count=1)
    assert "minus the other" not in text
    assert "PSNR, picture by picture" in text
    assert "1 picture, protocol full" in text


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")
PICTURE = "document.querySelector('.picture')"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Path]]:
    """A report of two pictures, open in a browser; the tests below go on with it as a reader would."""
    folder = tmp_path_factory.mktemp("page")
    page(folder / "report.html")
    with Browser(folder / "profile") as browser:
        browser.size(1100, 900)
        browser.open(folder / "report.html")
        yield browser, folder / "report.html"


def box(browser: Browser, selector: str) -> tuple[float, float, float, float]:
    """Where the first such part of the first picture is in the window, brought into view: x, y, width, height."""
    area = browser.run(
        f"(() => {{ const part = {PICTURE}.querySelector('{selector}'); part.scrollIntoView({{block: 'center'}});"
        " const area = part.getBoundingClientRect(); return [area.x, area.y, area.width, area.height]; })()"
    )
    return area[0], area[1], area[2], area[3]


def shown(browser: Browser) -> dict[str, str]:
    """The pictures of the first slider that are seen, each with the part that is cut off."""
    return browser.run(
        f"Object.fromEntries([...{PICTURE}.querySelectorAll('.slider img')]"
        ".filter((image) => getComputedStyle(image).visibility === 'visible')"
        ".map((image) => [image.alt, image.style.clipPath]))"
    )


@needs_chromium
def test_all_pictures_show_and_nothing_is_asked_for(opened: tuple[Browser, Path]) -> None:
    browser, file = opened
    count = browser.run(
        "Promise.all([...document.images].map((image) => image.decode()))"
        ".then(() => [...document.images].filter((image) => image.naturalWidth > 0).length)"
    )
    assert count == file.read_text().count("<img ") > 0
    assert browser.run("document.querySelector('.picture h3').textContent") == "<p1>"  # the worst
    assert browser.run("document.querySelector('.crop img').offsetWidth") == 64  # 1:1
    assert browser.requests() == [file.as_uri()]
    assert browser.troubles() == []


@needs_chromium
def test_the_slider_follows_pointer_and_keys(opened: tuple[Browser, Path]) -> None:
    browser, _ = opened
    assert shown(browser) == {"original": "", "ours": "inset(0px 50% 0px 0px)"}
    x, y, width, height = box(browser, ".slider")
    browser.pointer("mousePressed", x + width / 4, y + height / 2, down=True)
    assert shown(browser)["ours"] == "inset(0px 75% 0px 0px)"
    browser.pointer("mouseMoved", x + 3 * width / 4, y + height / 2, down=True)
    browser.pointer("mouseReleased", x + 3 * width / 4, y + height / 2)
    assert shown(browser)["ours"] == "inset(0px 25% 0px 0px)"
    browser.run(f"{PICTURE}.querySelector('input').focus()")
    browser.press("ArrowLeft")
    assert shown(browser)["ours"] == "inset(0px 26% 0px 0px)"
    assert browser.run(f"{PICTURE}.querySelector('.handle').style.left") == "74%"


@needs_chromium
def test_other_methods_are_chosen_by_keys(opened: tuple[Browser, Path]) -> None:
    browser, _ = opened
    browser.run(f"{PICTURE}.querySelector('input').focus()")
    for _ in range(2):
        browser.press("Tab")
    browser.press("ArrowDown")
    browser.press("ArrowDown")
    assert shown(browser).keys() == {"ours", "bicubic"}
    assert browser.run(f"[...{PICTURE}.querySelectorAll('.tag')].map((tag) => tag.textContent)") == ["ours", "bicubic"]


@needs_chromium
def test_crops_of_a_place_are_magnified_together(opened: tuple[Browser, Path]) -> None:
    browser, _ = opened
    pressed = "document.querySelectorAll('.crop[aria-pressed=true]').length"
    place = f"['--x', '--y'].map((name) => {PICTURE}.querySelector('.row').style.getPropertyValue(name))"
    scale = (
        f"[...{PICTURE}.querySelectorAll('.row img')]"
        ".map((image) => new DOMMatrix(getComputedStyle(image).transform).a)"
    )
    x, y, width, height = box(browser, ".crop .view")
    for kind, down in (("mousePressed", True), ("mouseReleased", False)):
        browser.pointer(kind, x + width / 2, y + height / 2, down=down)
    assert browser.run(pressed) == 3
    assert browser.run(scale) == [3, 3, 3]
    browser.pointer("mouseMoved", x + width / 4, y + height / 2)
    assert browser.run(place) == ["25%", "50%"]
    browser.press("ArrowDown")
    assert browser.run(place) == ["25%", "60%"]
    browser.press("Enter")
    assert browser.run(pressed) == 0
    assert browser.run(scale) == [1, 1, 1]


@needs_chromium
def test_everything_is_reached_by_tab(opened: tuple[Browser, Path]) -> None:
    browser, _ = opened
    browser.run("document.activeElement.blur(), getSelection().removeAllRanges(), scrollTo(0, 0)")
    browser.run(f"{PICTURE}.querySelector('input').focus()")
    reached = ["INPUT"]
    for _ in range(5):
        browser.press("Tab")
        reached.append(browser.run("document.activeElement.tagName"))
    assert reached == ["INPUT", "SELECT", "SELECT", "BUTTON", "BUTTON", "BUTTON"]
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@needs_chromium
@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_light_and_dark_wide_and_narrow(opened: tuple[Browser, Path], scheme: str, dark: bool) -> None:
    browser, _ = opened
    browser.scheme(scheme)
    colours = "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
    paper, ink = (sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in browser.run(colours))
    assert (paper < ink) is dark
    assert abs(paper - ink) > 500  # of 765
    for width in (340, 1600):
        browser.size(width, 900)
        assert browser.run("document.documentElement.scrollWidth") <= width
    browser.size(1100, 900)
    assert browser.troubles() == []


@needs_chromium
def test_long_names_and_a_tall_picture_keep_their_place(tmp_path: Path) -> None:
    page(tmp_path / "report.html", methods=(100 * "long_", 20 * "and longer "), count=1, size=(600, 8))
    with Browser(tmp_path / "profile") as browser:
        for width in (340, 1100):
            browser.size(width, 900)
            browser.open(tmp_path / "report.html")
            assert browser.run("document.documentElement.scrollWidth") <= width
            means = "document.querySelector('.wide').getBoundingClientRect().right"
            assert browser.run(f"document.querySelector('td:nth-child(2)').getBoundingClientRect().right <= {means}")
            assert box(browser, ".slider")[3] <= 800
            assert (
                browser.run("Math.max(...[...document.querySelectorAll('svg text')].map(e => e.getBBox().width))") < 300
            )
