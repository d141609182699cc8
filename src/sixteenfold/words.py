"""What the verbs share: turning the words of the command line into values, and mistakes into one line each."""

import io
import os
import re
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import is_dataclass, replace
from itertools import chain, groupby, pairwise
from pathlib import Path
from textwrap import dedent
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_type_hints

import tyro
from tyro.conf import AvoidSubcommands, FlagCreatePairsOff, Positional, arg
from tyro.constructors import PrimitiveConstructorSpec

from sixteenfold.errors import SixteenfoldError, did_you_mean

T = TypeVar("T")

PLAIN_WORDS = (
    (r"invalid literal for int\(\) with base 10: (.*)", r"\1 is not a whole number"),
    (r"could not convert string to float: (.*)", r"\1 is not a number"),
    (r"no type matching {None}\|INT could be instantiated from \[(.*)\]", r"\1 is not a whole number"),
    (r"no type matching {None}\|FLOAT could be instantiated from \[(.*)\]", r"\1 is not a number"),
    # For options of several values, optional or not.
    (
        r"(?:no type matching .* could be instantiated from|Could not find valid parse for arguments:|"
        r"Could not parse arguments) \[(.*?)\](?: into tuple type .*)?$",
        r"it cannot be \1; separate several values with spaces",
    ),
)
"""What Python and tyro say of a value of the wrong type, and what we say instead."""


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) == 0:
        raise ValueError(f"{word!r} is not a whole number above 0")
    return int(word)


def _width_and_height(word: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,9})[xX\N{MULTIPLICATION SIGN}](\d{1,9})", word)
    if not found:
        raise ValueError(f"{word!r} is not WIDTHxHEIGHT, such as 1920x1080")
    return int(found[1]), int(found[2])


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise ValueError(f"{word!r} is not a number") from None


def _one_word(
    kind: type[T], metavar: str, read: Callable[[str], T], choices: tuple[str, ...] | None = None
) -> PrimitiveConstructorSpec[T | None]:
    """An optional option of one word.

    For `int | None` and `Literal[...] | None` tyro would show NoneType, and offer the word None.
    """
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
        choices=choices,
    )


_FORMATS = ("png", "jpg", "webp", "tif", "avif", "dzi")
# Without tyro's remark on the default: "None" says nothing, and a flag's name says what its default is.
_UNREMARKED = arg(help_behavior_hint="")

Inputs = Annotated[Positional[tuple[Path, ...]], arg(metavar="INPUT...", help_behavior_hint="")]
Model = Annotated[str | None, arg(metavar="NAME|FILE", help_behavior_hint="")]
Device = Annotated[str, arg(metavar="auto|cpu|cuda|cuda:N|mps")]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Flag = Annotated[bool, _UNREMARKED]
Count = Annotated[int | None, _one_word(int, "N", _count), _UNREMARKED]
Number = Annotated[float | None, _one_word(float, "X", _number), _UNREMARKED]
WidthAndHeight = Annotated[tuple[int, int] | None, _one_word(tuple, "WxH", _width_and_height), _UNREMARKED]
Format = Annotated[str | None, _one_word(str, "|".join(_FORMATS), str, _FORMATS), _UNREMARKED]


def _told(text: str) -> Any:
    """Help that is the same in every verb that enlarges."""
    return arg(help=text, help_behavior_hint="")


Tile = Annotated[Count, _told("Tile side in input pixels; smaller tiles need less memory and more time.")]
Fidelity = Annotated[
    Number,
    _told("0 to 1: mix the weights of the perceptual model (0) and its fidelity partner (1); by default unmixed."),
]
Ensemble = Annotated[bool, _told("Average over the eight flips and rotations: eight times the work.")]
NoConsistency = Annotated[
    bool, _told("Leave the network's output as it is, instead of making it downscale to its input.")
]


def parse(verbs: Any, words: Sequence[str], description: str, see: str) -> Any:
    """Parse the words into a command.

    Args:
        verbs: A typing.Union of dataclasses; each is a verb by its name in small letters.
        words: What follows the program's name; not empty.
        description: What the program is, for its help.
        see: The command whose --help lists all options of the verb, for messages.

    Returns:
        One of the dataclasses, filled.

    Raises:
        SixteenfoldError: If they are not a valid command; on one line, where tyro would draw a box.
        SystemExit: With status 0 after printing the help that was asked for.
    """
    known: dict[str, Any] = {verb.__name__.lower(): verb for verb in get_args(verbs)}
    name, *rest = words
    if name in ("--help", "-h"):
        return tyro.cli(verbs, prog="sixteenfold", description=description, args=words, config=(FlagCreatePairsOff,))
    if name not in known:
        raise SixteenfoldError(f"{name!r} is not one of the verbs {', '.join(known)}{did_you_mean(name, known)}")
    try:
        with _one_line_mistakes(see):
            return filled(known[name], rest)
    except SixteenfoldError as error:
        others = {one: verb for one, verb in known.items() if one != name}
        hints = _taken_for_options(rest, str(error)), _of_other_verbs(others, str(error))
        raise SixteenfoldError("; ".join([str(error), *chain(*hints)])) from None


def filled(verb: type[T], words: Sequence[str]) -> T:
    """A verb's dataclass, filled by the words after its name; for --help, SystemExit once that is printed."""
    return tyro.cli(verb, prog=f"sixteenfold {verb.__name__.lower()}", args=words, config=(FlagCreatePairsOff,))


def split_options(words: Sequence[str], names: Collection[str]) -> tuple[list[str], list[str]]:
    """Split off the options `--NAME` or `--NAME.FIELD` for the given names, each with its values.

    Returns:
        The other words, and those options.
    """
    others: list[str] = []
    options: list[str] = []
    target = others
    for word in words:
        if word.startswith("--"):
            name = word[2:].partition("=")[0].partition(".")[0].replace("-", "_")
            target = options if name in names else others
        target.append(word)
    return others, options


def _may_be_left_out(kind: Any) -> bool:
    """Whether a field's type is an optional dataclass."""
    choices = get_args(kind)
    return type(None) in choices and any(map(is_dataclass, choices))


def without_parts(default: T, words: Sequence[str]) -> tuple[T, list[str]]:
    """Apply `--NAME None`: set those parts (dataclass fields) of `default` to None; return it and the other words.

    Raises:
        SixteenfoldError: If the value is not None, or nothing is left.
    """
    parts = {f"--{name}": name for name, kind in get_type_hints(type(default)).items() if _may_be_left_out(kind)}
    left_out: dict[str, None] = {}
    others: list[str] = []
    following = iter(words)
    for word in following:
        option, equals, value = word.partition("=")
        if option not in parts:
            others.append(word)
            continue
        value = value if equals else next(following, "")
        if value.lower() != "none":
            given = f" (not {value!r})" if value else ""
            said = f"can only be None{given}, which skips the phase; set its values with {option}.NAME"
            raise SixteenfoldError(f"{option}: {said}")
        left_out[parts[option]] = None
    return (replace(cast(Any, default), **left_out) if left_out else default), others


def changed(default: T, words: Sequence[str], prog: str) -> T:
    """Set fields of a dataclass's value: `--field value`, or `--field.field value` for nested ones.

    Raises:
        SixteenfoldError: If there is no such field or it cannot have the value; on one line.
    """
    with _one_line_mistakes(prog):
        return tyro.cli(
            # Both `--projected` and `--no-projected` exist: which of them changes anything depends on the recipe.
            type(default),
            default=default,
            prog=prog,
            args=words,
            config=(AvoidSubcommands,),
        )


def check_once(words: Sequence[str], again: Collection[str]) -> None:
    """Raise a SixteenfoldError for an option that is given twice, unless it is one of those that may be given again."""
    spelled = (word.partition("=")[0] for word in words if re.match("--|-o(=|$)", word))
    # Both of a pair, --pixel.projected and --pixel.no-projected, are one option.
    options = ["--out" if word == "-o" else word.replace("_", "-").replace(".no-", ".") for word in spelled]
    for option in options:
        if options.count(option) > 1 and option not in again:
            raise SixteenfoldError(f"{option}: is given twice; leave out one")


def _options_of(verb: Any) -> list[str]:
    """A verb's options, without its positional arguments."""
    hints = get_type_hints(verb, include_extras=True)
    named = (name for name, kind in hints.items() if Positional not in getattr(kind, "__metadata__", ()))
    return [f"--{name.replace('_', '-')}" for name in named]


def _of_other_verbs(others: Mapping[str, Any], complaint: str) -> list[str]:
    """Which other verbs have the options that a verb does not know."""
    found = re.match("Unrecognized options: (.*?);", complaint)
    unknown = [word for word in found[1].split(", ") if word.startswith("--")] if found else []
    options = {name: set(_options_of(verb)) for name, verb in others.items()}
    owners = {word: [name for name in options if word in options[name]] for word in unknown}
    return [f"{word} is an option of {' and '.join(names)}" for word, names in owners.items() if names]


def _taken_for_options(words: Sequence[str], complaint: str) -> list[str]:
    """How to write files and values that begin with a hyphen and were therefore taken for options."""
    found = re.match("Missing value for argument '(.*?)'", complaint)
    options = found[1].split("/") if found else []
    # Our options of one hyphen have one letter, so that a longer word is hardly one: neither -h nor -o=result.png.
    values = {
        word: f"if {word} is its value, write {option}={word}"
        for option, word in pairwise(words)
        if option in options and re.match("-[^-=][^=]", word)
    }
    files = (word for word in words if word.startswith("-") and word not in values and os.access(word, os.F_OK))
    return [*values.values(), *(f"write ./{word} for the file" for word in files)]


@contextmanager
def _one_line_mistakes(prog: str) -> Generator[None]:
    complaint = io.StringIO()
    try:
        with redirect_stderr(complaint):
            yield
    except SystemExit as end:
        if not end.code:
            raise
        raise SixteenfoldError(_one_line(complaint.getvalue(), prog)) from None


def _one_line(box: str, prog: str) -> str:
    """Tyro's boxed message on one line: the cause, the nearest option if it offers one, where to read on."""
    box = re.sub(r"\x1b\[[\d;]*m", "", box)  # colours, where stdout is a terminal
    # Its parts lie between rules; these are hyphens where the terminal knows no better.
    lines = (line.strip("╭╰╯│─").rstrip("─ ") for line in re.sub("╮|-{9,}", "\n", box).splitlines())
    listings = [dedent("\n".join(part)) for written, part in groupby(lines, bool) if written]
    parts = [" ".join(listing.split()) for listing in listings]
    if len(parts) < 3:  # not as tyro draws it today
        return " ".join(parts)
    _title, cause, *offers, _further = parts  # the last names the program's help, where the verb's is what helps
    near = [offer.split()[3] for offer in offers if offer.startswith("Perhaps you meant:")]
    if cause.startswith("Missing from "):
        # What its help says of each stands below it and is indented further.
        missing = re.findall(r"^ {4}(\S[^,\n]*)", listings[1], re.MULTILINE)
        unknown = [offer for offer in offers if offer.startswith("Unrecognized options:")]
        cause = "; ".join([*unknown, f"Missing: {', '.join(missing)}"])
    cause = cause.rstrip(".").removesuffix(". Expected 1 values")
    for theirs, ours in PLAIN_WORDS:
        cause = re.sub(theirs, ours, cause)
    return "; ".join([cause, *(f"perhaps you meant {option}" for option in near), f"see {prog} --help"])
