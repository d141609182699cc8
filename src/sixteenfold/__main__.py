"""`sixteenfold`, and `python -m sixteenfold`."""

import sys


def main() -> int:
    """Run the command given by the process's arguments, and return its exit status: see `sixteenfold.cli.main`."""
    try:
        from sixteenfold.cli import main as run  # here, so that Ctrl-C during the import is reported too

        return run()
    except KeyboardInterrupt:
        print("sixteenfold: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
