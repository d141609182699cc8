"""The one error that a user can cause."""


class SixteenfoldError(Exception):
    """A mistake in the input, the options or the surroundings, not in the program.

    The message names the file or option, the cause and the way out, on one line. The command line
    prints it without a traceback and exits with status 2.
    """
