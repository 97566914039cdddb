"""`python -m deploy` is what `make run` starts."""

import sys

from deploy.start import main

if __name__ == "__main__":
    sys.exit(main())
