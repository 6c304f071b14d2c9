"""python -m runtime worker | daemon | web | migrate | enqueue | schedules | jobs"""

from __future__ import annotations

import sys

from runtime.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
