"""``python -m gmemgpu``."""

import sys

from gmemgpu.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
