"""``python -m isingflow``."""

import sys

from isingflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
