"""Chromium for the end-to-end tests: found on this machine, or installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PLAYWRIGHT_TIMEOUT_S = 120
APT_TIMEOUT_S = 300


class BrowserMissing(Exception):
    """Chromium is missing and could not be installed; the message says what to do."""


def chromium(playwright_own: Path) -> Path:
    """Return the path of a Chromium, which is installed if there is none.

    Args:
        playwright_own: path of Playwright's Chromium (`browser_type.executable_path`).

    Raises:
        BrowserMissing: if there is none and the installation failed.
    """
    for install in (_nothing, _install_by_playwright, _install_by_apt):
        install()
        if path := find(playwright_own):
            return path
    raise BrowserMissing(
        "The end-to-end tests need Chromium: install it (Debian: apt install chromium; "
        "elsewhere: .venv/bin/playwright install chromium) or name it in PIC2PAINT_CHROMIUM."
    )


def find(playwright_own: Path) -> Path | None:
    """Return an installed Chromium: of PIC2PAINT_CHROMIUM, on the PATH, or Playwright's; or None.

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
        # Without a font, text is rendered as empty boxes.
        packages = ["chromium", "fonts-liberation"]
        _try(["apt-get", "-qy", "install", "--no-install-recommends", *packages], APT_TIMEOUT_S)


def _try(command: list[str], timeout_s: float) -> None:
    print(f"No Chromium here; trying: {' '.join(command)}", file=sys.stderr, flush=True)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        subprocess.run(command, env=environ, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        print(f"Stopped after {timeout_s} s.", file=sys.stderr, flush=True)
