"""``python -m deploykit``."""

from __future__ import annotations

from deploykit.cli.main import main

if __name__ == "__main__":
    main()
