#!/bin/sh
# Finds a Python that fits and hands over to install.py; for `make install` and `make test`.
set -eu
cd "$(dirname "$0")/.."

# Prints the interpreter behind a command (behind a virtual environment, too), if it fits.
# Asked by running it: version managers leave commands that exist and do not run.
fitting() {
    "$1" -c '
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(1)
import ensurepip, venv
print(getattr(sys, "_base_executable", sys.executable))
' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    if python=$(fitting "$PYTHON"); then
        exec "$python" deploy/install.py "$@"
    fi
    echo "PYTHON=$PYTHON is not Python 3.11, 3.12 or 3.13 with its venv module." >&2
    exit 1
fi
for candidate in python3 python3.12 python3.11 python3.13; do
    if python=$(fitting "$candidate"); then
        exec "$python" deploy/install.py "$@"
    fi
done
echo "No Python 3.11, 3.12 or 3.13 with its venv module was found; install one (Debian: apt install python3-venv) or name it: make PYTHON=/path/to/python3 install" >&2
exit 1
