import os
import stat
import subprocess
from pathlib import Path

import pytest

from tests import browser


@pytest.fixture(autouse=True)
def no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIC2PAINT_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))


def program(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_browser_of_the_environment_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "chromium")
    named = program(tmp_path / "named")
    monkeypatch.setenv("PIC2PAINT_CHROMIUM", str(named))

    assert browser.find(tmp_path / "own") == named


def test_browser_of_the_environment_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "chromium")
    monkeypatch.setenv("PIC2PAINT_CHROMIUM", str(tmp_path / "named"))

    with pytest.raises(browser.BrowserMissing, match="PIC2PAINT_CHROMIUM"):
        browser.find(tmp_path / "own")


def test_browser_on_the_path_comes_before_playwrights(tmp_path: Path) -> None:
    own = program(tmp_path / "own")
    assert browser.find(own) == own

    installed = program(tmp_path / "google-chrome")
    assert browser.find(own) == installed


def test_browser_is_installed_if_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(browser, "_try", lambda command, timeout_s: commands.append(command))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(tmp_path / "apt-get")

    with pytest.raises(browser.BrowserMissing, match="apt install chromium"):
        browser.chromium(tmp_path / "own")

    assert [command[0:3] for command in commands[1:]] == [
        ["apt-get", "-q", "update"],
        ["apt-get", "-qy", "install"],
    ]
    assert commands[0][-2:] == ["install", "chromium"]


def test_only_root_installs_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(browser, "_try", lambda command, timeout_s: commands.append(command))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program(tmp_path / "apt-get")

    with pytest.raises(browser.BrowserMissing):
        browser.chromium(tmp_path / "own")

    assert len(commands) == 1


def test_installer_that_hangs_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(command: list[str], timeout: float, **rest: object) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)

    browser._try(["playwright"], 1)
