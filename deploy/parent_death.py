"""Program that runs a command which gets SIGTERM when its parent dies, by SIGKILL as well.

Without it a killed start command would leave the site running with nobody to stop it, and the
next start would find the port taken. Linux only; elsewhere the command just runs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""Option of prctl(2): the signal sent to this process when the thread that made it ends; exec
keeps it."""


def main(command: list[str]) -> None:
    """Become ``command``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(command[0], command)  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
