"""`sixteenfold`, and `python -m sixteenfold`."""

import sys


def main() -> int:
    """Run the command that the process's words give, and return its exit status: see `sixteenfold.cli.main`."""
    try:
        from sixteenfold.cli import main as run  # here, so that Ctrl-C meanwhile has its line too

        return run()
    except KeyboardInterrupt:
        print("sixteenfold: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
