"""Names that a file or an option may have, in every file of the report."""

import csv
import json
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from sixteenfold.evaluation.report import in_markdown, table
from sixteenfold.evaluation.run import evaluate

from .conftest import Save, picture

PICTURES = ("a|b", "`c`", "<b>&amp;", "line\nend\r", "*d* _e_", "[f](g)", '"h",', "~~i~~", "\\|", "not text \udcff")
METHOD = "<i>|`one\ntwo`\udcff"


def shown(name: str) -> str:
    """The name on one line, of letters that can be written."""
    return name.replace("\n", "\\n").replace("\r", "\\r").replace("\udcff", "\\udcff")


def rendered(markdown: str) -> tuple[list[list[str]], list[str]]:
    """A document's table rows and list items, as a reader sees them."""
    rows: list[list[str]] = []
    items: list[str] = []
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    for opening, token in pairwise(tokens):
        if opening.type == "tr_open":
            rows.append([])
        if token.type != "inline":
            continue
        text = "".join(f"<{part.tag}>" if part.type != "text" else part.content for part in token.children or ())
        if opening.type in ("td_open", "th_open"):
            rows[-1].append(text.replace("<strong>", ""))
        elif opening.type == "paragraph_open" and opening.level > 0:
            items.append(text)
    return rows, items


class Page(HTMLParser):
    """What a page says, by the element that it stands in, and the pictures' alternative texts."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, list[str]] = {}
        self.alts: set[str] = set()
        self._tag = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag = tag
        self.alts |= {value for name, value in attrs if name == "alt" and value}

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.setdefault(self._tag, []).append(data)


@pytest.fixture
def report(save: Save, tmp_path: Path) -> Path:
    for i, name in enumerate(PICTURES):
        for folder in ("hr", "theirs"):
            save(f"{folder}/plain.png", picture(i)).rename(tmp_path / folder / f"{name}.png")
    save("hr/left out.png", picture(0))
    evaluate(
        tmp_path / "hr",
        sr=tmp_path / "hr",
        also={METHOD: tmp_path / "theirs"},
        metrics=["ssim"],
        allow_missing=True,
        out=tmp_path / "out",
    )
    return tmp_path / "out"


def test_any_name_in_every_file(report: Path) -> None:
    tree = json.loads((report / "scores.json").read_text(encoding="utf-8"))
    assert sorted(image["name"] for image in tree["images"]) == sorted(PICTURES)
    assert list(tree["methods"]) == ["hr", METHOD]

    text = (report / "scores.csv").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 1 + 2 * len(PICTURES)
    lines = list(csv.DictReader(text.splitlines()))
    assert sorted(line["name"] for line in lines[: len(PICTURES)]) == sorted(map(shown, PICTURES))
    assert lines[-1]["method"] == shown(METHOD)

    rows, items = rendered((report / "report.md").read_text(encoding="utf-8"))
    assert rows[:3] == [["method", "SSIM ↑"], ["hr", "1.0000"], [shown(METHOD), "1.0000"]]
    assert rows[4][0] == shown(METHOD)
    assert f"{shown(METHOD)} has no left out" in items

    page = Page()
    page.feed((report / "report.html").read_text(encoding="utf-8"))
    assert sorted(page.texts["h3"]) == sorted(map(shown, PICTURES))
    assert set(page.texts["option"]) == {"original", "hr", shown(METHOD)}
    assert {"original", "hr", shown(METHOD)} <= page.alts


@pytest.mark.parametrize(
    "text", [*PICTURES[:3], "- a", "12. a", "+ a", "# a", "1) a", "3.5 a", "a\\", "$x$", "-", "&lt;"]
)
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    lines = ["- first", f"- {in_markdown(text)}", "", *table(["a", "b"], [[in_markdown(text), "c"]])]
    assert rendered("\n".join(lines)) == ([["a", "b"], [text, "c"]], ["first", text])
