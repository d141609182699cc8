"""Imports between the rooms go down only, without circles, and the command line starts without engines."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sixteenfold

PACKAGE = Path(sixteenfold.__file__).parent
FLOORS = (
    {"__main__"},
    {"cli", "web", "cluster"},
    {"verbs"},
    {"evaluation", "training"},
    {"upscaling"},
    {"networks", "metrics"},
    {"imaging"},
    {"kernels"},
    {"files"},
    {"words"},
    {"errors", "signals", "streams"},
)
FLOOR = {room: len(FLOORS) - i for i, rooms in enumerate(FLOORS) for room in rooms}
# Neighbours on one floor that may be called all the same: (from, the module or room that is called).
DOORS = {
    ("metrics", "sixteenfold.networks.backbones"),
    ("metrics", "sixteenfold.networks.unpickle"),
    ("training", "sixteenfold.evaluation"),
}
MODULES = {
    ".".join(("sixteenfold", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported(source: str) -> Iterator[str]:
    """Every module of the package that a source text imports, at the top or inside a function."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room they reach"
            # `from room import module` names a module; `from module import thing` does not.
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else str(node.module) for name in names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "sixteenfold")


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def may_import(source: str, target: str) -> bool:
    """Whether the house's plan lets one module import the other."""
    here, there = room(source), room(target)
    if here == there or not there:  # the package itself holds nothing but the version and lazy names
        return True
    if any(here == guest and (target + ".").startswith(door + ".") for guest, door in DOORS):
        return True
    return FLOOR[there] < FLOOR[here]


@pytest.mark.parametrize("module", [name for name in MODULES if room(name)])
def test_imports_go_down_only(module: str) -> None:
    targets = set(imported(MODULES[module].read_text(encoding="utf-8")))
    assert [target for target in targets if not may_import(module, target)] == []


def test_there_are_no_circles() -> None:
    graph = {
        name: set(imported(path.read_text(encoding="utf-8"))) - {"sixteenfold"}
        for name, path in MODULES.items()
        if name != "sixteenfold"
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        ("imaging.read", "networks.generator", False),
        ("metrics.lpips", "networks.backbones", True),
        ("metrics.lpips", "networks.generator", False),
        ("networks.zoo", "metrics.lpips", False),
        ("training.validation", "evaluation.protocol", True),
        ("evaluation.protocol", "training.loop", False),
        ("upscaling.upscaler", "evaluation.report", False),
        ("training.loop", "cli", False),
        ("cli", "verbs.train", True),
        ("verbs.train", "training.loop", True),
        ("verbs.train", "cli", False),
        ("cli", "training.loop", True),
        ("imaging.read", "errors", True),
        ("imaging.read", "files.ordinary", True),
        ("files.whole", "imaging.read", False),
        ("imaging.resample", "kernels.exact", True),
        ("kernels.exact", "imaging.resample", False),
        ("networks.backbones", "kernels.planes", True),
        ("kernels.planes", "networks.backbones", False),
    ],
)
def test_the_plan_is_the_one_written_down(source: str, target: str, allowed: bool) -> None:
    assert may_import(f"sixteenfold.{source}", f"sixteenfold.{target}") is allowed


def test_imports_inside_functions_are_seen() -> None:
    source = "import torch\ndef f():\n    from sixteenfold.imaging import resample\n    import sixteenfold.errors\n"
    assert list(imported(source)) == ["sixteenfold.imaging.resample", "sixteenfold.errors"]


@pytest.mark.parametrize("module", ["sixteenfold", "sixteenfold.cli"])
def test_starting_imports_no_engine(module: str) -> None:
    engines = {"torch", "numpy", "pyvips", "rich", "lightning"}
    code = f"import sys, {module}; print(*sorted({engines} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("name", sixteenfold.__all__)
def test_every_public_name_is_there(name: str) -> None:
    found = getattr(sixteenfold, name)
    assert getattr(found, "__name__", "PRESETS") == name
    assert name in dir(sixteenfold)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="upscal"):
        _ = sixteenfold.upscal
