"""The command line as a process: from words to a command, streams, signals, exit status.

Nothing is imported here but what reads the words: each verb (`verbs`) imports its engine when it runs.
"""

import re
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from io import TextIOWrapper
from typing import TextIO, Union, cast

from sixteenfold import __version__
from sixteenfold.errors import Interrupted, SixteenfoldError
from sixteenfold.signals import Asked, heard_as_interrupts, no_interrupt_lost
from sixteenfold.streams import Output, OutputError, lead_nowhere, replace_closed_streams, say_last
from sixteenfold.verbs.convert import Convert
from sixteenfold.verbs.downscale import Downscale
from sixteenfold.verbs.evaluate import AGAIN, Evaluate
from sixteenfold.verbs.models import Models
from sixteenfold.verbs.train import RECIPE, Train, explain_recipe, full_help, one_of_several, preset_in
from sixteenfold.verbs.upscale import Upscale
from sixteenfold.words import check_once, parse, split_options

DESCRIPTION = "x16 perceptual super-resolution. `sixteenfold VERB --help` gives details; --version prints the version."

# Not `A | B`: for that tyro imports a type checker, and with it asyncio and unittest, at every start.
Verb = Union[Upscale, Downscale, Train, Evaluate, Convert, Models]  # noqa: UP007


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after the program's name; by default the process's own.

    Returns:
        0 when all went well, 1 when some files of a batch failed or nobody reads the output any more, 2 for a
        user's mistake, 130 when interrupted, 143 or 129 on SIGTERM or SIGHUP. Once `train` has started it returns 130
        for all three, as it then stops between two steps and saves.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    replace_closed_streams()
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name need not be text that the stream can write
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with redirect_stdout(cast(TextIO, Output())):
            status = _run(words)
            sys.stdout.flush()  # while it can still be said that it did not work
        return status
    except SixteenfoldError as error:
        print(f"sixteenfold: {error}", file=sys.stderr)
        return 130 if isinstance(error, Interrupted) else 2
    except BrokenPipeError:  # the reader of our output, such as `head`, has ended; nobody is left to tell
        lead_nowhere(sys.stdout.fileno())
        return 1
    except OutputError as error:
        print(f"sixteenfold: the output cannot be written ({error})", file=sys.stderr)
        lead_nowhere(sys.stdout.fileno())
        return 2
    except KeyboardInterrupt as stop:
        if argv is None:  # the process ends now; another Ctrl-C would only interrupt its tidying up, with a traceback
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        say_last("sixteenfold: interrupted\n")
        return stop.status if isinstance(stop, Asked) else 130
    except SystemExit as end:  # tyro, when it has printed the help
        return int(end.code or 0)


def _run(words: Sequence[str]) -> int:
    if words == ["--version"]:
        print(f"sixteenfold {__version__}")
        return 0
    for word in words:  # an empty name would mean the current folder
        if re.fullmatch(r"(-[^=]*=)?", word):
            raise SixteenfoldError(f"{word or 'an argument'} is empty; is a shell variable not set?")
    options, changes, see = words, [], f"sixteenfold {words[0]}"
    if words[0] == "train":  # the values of its recipe are options too
        preset = preset_in(words)
        if preset is not None and not {"-h", "--help"}.isdisjoint(words):
            return explain_recipe(preset)
        options, changes = split_options(words, RECIPE)
        see = full_help(preset)
    check_once(words, again=AGAIN)
    command: Verb = parse(Verb, options, DESCRIPTION, see)
    # One of several processes may be waiting for the others and could not react: signals end it at once.
    deaf = isinstance(command, Train) and one_of_several()
    with no_interrupt_lost(), nullcontext() if deaf else heard_as_interrupts():
        return command.run(changes) if isinstance(command, Train) else command.run()
