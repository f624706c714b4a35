"""``python -m dsbo``, as torchrun starts it: the command line of the book."""

import sys

from dsbo_book.cli import main

if __name__ == "__main__":
    sys.exit(main())
