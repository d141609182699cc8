"""`python -m sixteenfold` is `sixteenfold`."""

import sys

from sixteenfold.cli import main

if __name__ == "__main__":
    sys.exit(main())
