"""Where Chromium is on this machine; it is fetched if there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PLAYWRIGHT_TIMEOUT_S = 120
APT_TIMEOUT_S = 300


class BrowserMissing(Exception):
    """There is no Chromium and none could be had; the message says what to install."""


def chromium(playwright_own: Path) -> Path:
    """The Chromium to test with; installed first if necessary.

    Args:
        playwright_own: where Playwright keeps its own (`browser_type.executable_path`).

    Raises:
        BrowserMissing: if there is none and installing failed.
    """
    for install in (_nothing, _install_by_playwright, _install_by_apt):
        install()
        if found := find(playwright_own):
            return found
    raise BrowserMissing(
        "The end-to-end tests need Chromium: install it (Debian: apt install chromium; "
        "elsewhere: .venv/bin/playwright install chromium) or name it in PIC2PAINT_CHROMIUM."
    )


def find(playwright_own: Path) -> Path | None:
    """A Chromium that is already there: the one that is named, on the PATH, or Playwright's.

    Raises:
        BrowserMissing: if PIC2PAINT_CHROMIUM names no program.
    """
    if named := os.environ.get("PIC2PAINT_CHROMIUM"):
        if not shutil.which(named):
            raise BrowserMissing(f"PIC2PAINT_CHROMIUM={named} is no program.")
        return Path(named)
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if on_path := shutil.which(name):
            return Path(on_path)
    return playwright_own if playwright_own.exists() else None


def _nothing() -> None:
    pass


def _install_by_playwright() -> None:
    _try([sys.executable, "-m", "playwright", "install", "chromium"], PLAYWRIGHT_TIMEOUT_S)


def _install_by_apt() -> None:
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _try(["apt-get", "-q", "update"], APT_TIMEOUT_S)
        # Without any font it would show empty boxes.
        packages = ["chromium", "fonts-liberation"]
        _try(["apt-get", "-qy", "install", "--no-install-recommends", *packages], APT_TIMEOUT_S)


def _try(command: list[str], timeout_s: float) -> None:
    print(f"No Chromium here; trying: {' '.join(command)}", file=sys.stderr, flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, env=environ, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        print(f"Given up after {timeout_s} s.", file=sys.stderr, flush=True)
