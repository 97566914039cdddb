import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from config import PROJECT_ROOT
from tests.servers import answering, wait_until

# Stands for the project: the real Makefile installs it, with two dependencies besides PyTorch.
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
BACKEND = """
import pathlib, shutil

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    shutil.copy("project-1.0-py3-none-any.whl", wheel_directory)
    return "project-1.0-py3-none-any.whl"
"""
PROJECT_NEEDS = ("torch>=1", "torchvision>=1", "other>=1", 'tool>=1; extra == "dev"')


def wheel(name: str, version: str, origin: str = "", needs: tuple[str, ...] = ()) -> bytes:
    """Return a wheel of one module, which names the index that it came from."""
    stem = f"{name}-{version}"
    metadata = [
        *("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Provides-Extra: dev"),
        *(f"Requires-Dist: {need}" for need in needs),
    ]
    files = {
        f"{name}.py": f"origin = {origin!r}\n",
        f"{stem}.dist-info/METADATA": "\n".join(metadata) + "\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{stem}.dist-info/RECORD"
    files[record] = "".join(f"{path},,\n" for path in [*files, record])
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return content.getvalue()


# Both have everything, so that it matters which of them pip asks.
INDEXES = {
    origin: {
        f"{name}-{version}-py3-none-any.whl": wheel(name, version, origin, needs)
        for name, version, needs in packages
    }
    for origin, packages in {
        "usual": [
            ("torch", "1.0", ()),
            ("torchvision", "1.0", ("torch==1.0",)),
            ("torch_part", "2.0", ()),
            ("other", "1.0", ()),
            ("tool", "1.0", ()),
        ],
        "chosen": [
            ("torch", "1.0+chosen", ("torch_part",)),
            ("torchvision", "1.0+chosen", ("torch==1.0",)),
            ("torch_part", "1.0", ()),
            ("other", "2.0", ()),
        ],
    }.items()
}


class Indexes:
    """Two package indexes at one port, with a record of the requests."""

    def __init__(self) -> None:
        self.downloads: Counter[str] = Counter()
        self.is_open = threading.Event()
        self.is_open.set()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        _, origin, name, *file = request.path.split("/")
        wheels = INDEXES[origin]
        if file and file[0]:
            self.downloads[file[0]] += 1
            self.is_open.wait()
            body, kind = wheels[file[0].replace("%2B", "+")], "application/zip"
        else:
            found = [file for file in wheels if file.startswith(name.replace("-", "_") + "-")]
            body = "".join(f'<a href="{file}">{file}</a>' for file in found).encode()
            kind = "text/html"
        request.send_response(200 if body else 404)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class Checkout:
    """Copy of the Makefile with a small project beside it, installed from two small indexes."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        self.chosen = f"http://127.0.0.1:{port}/chosen"
        # These tests run below `make test`, but the make that they start is to be nobody's child;
        # and it is not this machine's business where pip looks.
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "TORCH_INDEX_URL"}
            and not name.startswith("PIP_")
        } | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"http://127.0.0.1:{port}/usual",
            "PIP_NO_CACHE_DIR": "1",
            "PYTHON": sys.executable,
            "no_proxy": "127.0.0.1",
        }

    def start(self, target: str = "install", **environ: str) -> "subprocess.Popen[str]":
        make = shutil.which("make")
        assert make is not None
        return subprocess.Popen(
            [make, target],
            cwd=self.folder,
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def make(self, target: str = "install", **environ: str) -> str:
        """Run make, and return its output, all of which is on standard error."""
        with self.start(target, **environ) as process:
            out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert out == ""
        return err

    def read_failure(self, **environ: str) -> list[str]:
        """Return the lines of an installation that must fail, without make's own."""
        with self.start(**environ) as process:
            out, err = process.communicate(timeout=300)
        assert process.returncode != 0
        assert out == ""
        return [line for line in err.splitlines() if not line.startswith("make")]

    def read_origins(self, *modules: str) -> list[str]:
        """Return the indexes that the installed modules came from."""
        question = "import sys; print(*(__import__(name).origin for name in sys.argv[1:]))"
        answer = subprocess.run(
            [self.venv / "bin" / "python", "-c", question, *modules],
            capture_output=True,
            text=True,
            check=True,
        )
        return answer.stdout.split()


@pytest.fixture
def indexes() -> Indexes:
    return Indexes()


@pytest.fixture
def checkout(tmp_path: Path, indexes: Indexes) -> Iterator[Checkout]:
    folder = tmp_path / "check out"
    folder.mkdir()
    shutil.copy(PROJECT_ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "constraints.txt").write_text("other==1.0\ntorch==1.0\ntorchvision==1.0\n")
    (folder / "backend.py").write_text(BACKEND)
    (folder / "project-1.0-py3-none-any.whl").write_bytes(
        wheel("project", "1.0", needs=PROJECT_NEEDS)
    )
    with answering(indexes.answer) as port:
        yield Checkout(folder, port)
        indexes.is_open.set()


def test_a_missing_python_is_named(checkout: Checkout, tmp_path: Path) -> None:
    (message,) = checkout.read_failure(PYTHON="", PATH=str(tmp_path))

    assert message.startswith("No Python 3.11, 3.12 or 3.13")


def test_a_named_python_that_does_not_exist_is_refused(checkout: Checkout) -> None:
    (message,) = checkout.read_failure(PYTHON="/bin/false")

    assert "/bin/false" in message


def test_python_that_exists_but_does_not_run_is_passed_over(
    checkout: Checkout, tmp_path: Path
) -> None:
    for name in ("python3", "python3.12"):
        (tmp_path / name).write_text("#!/bin/sh\necho no version is chosen >&2\nexit 127\n")
        (tmp_path / name).chmod(0o755)

    (message,) = checkout.read_failure(PYTHON="", PATH=str(tmp_path))

    assert message.startswith("No Python")


def test_an_environment_that_cannot_be_made_is_reported(checkout: Checkout) -> None:
    checkout.venv.touch()

    (message,) = checkout.read_failure()

    assert str(checkout.venv) in message


def test_only_what_has_changed_is_installed_again(checkout: Checkout, indexes: Indexes) -> None:
    assert "Installing" in checkout.make()
    assert checkout.read_origins("torch", "torchvision", "other") == ["usual"] * 3
    downloads = dict(indexes.downloads)

    assert checkout.make() == ""
    assert indexes.downloads == downloads

    assert "tool-1.0" in checkout.make("install-dev")
    assert checkout.make("install-dev") == ""
    assert checkout.make() == ""

    constraints = checkout.folder / "constraints.txt"
    os.utime(constraints, (constraints.stat().st_mtime + 3600,) * 2)
    assert "Installing" in checkout.make()
    downloads["tool-1.0-py3-none-any.whl"] = 1
    assert indexes.downloads == downloads

    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    checkout.venv = checkout.folder / ".venv"
    checkout.make()
    assert str(checkout.venv) in (checkout.venv / "bin" / "pip").read_text()


def test_torch_and_what_it_needs_come_from_the_chosen_index(checkout: Checkout) -> None:
    checkout.make(TORCH_INDEX_URL=checkout.chosen)
    assert checkout.read_origins("torch", "torchvision", "torch_part") == ["chosen"] * 3
    assert checkout.read_origins("other") == ["usual"]
    assert checkout.make(TORCH_INDEX_URL=checkout.chosen) == ""

    assert "Installing" in checkout.make()
    assert checkout.read_origins("torch", "torchvision", "other") == ["usual"] * 3


def test_pip_says_why_it_failed_and_is_tried_again(checkout: Checkout) -> None:
    lines = checkout.read_failure(PIP_INDEX_URL=checkout.chosen)
    assert any(line.startswith("ERROR: ") for line in lines)
    assert lines[-1].startswith("Installing failed")

    assert "Installing" in checkout.make()


def test_environment_is_made_anew_after_an_interruption(
    checkout: Checkout, indexes: Indexes
) -> None:
    indexes.is_open.clear()
    with checkout.start() as process:
        wait_until(indexes.downloads.total, 240, "pip downloads")
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "Traceback" not in said
    assert "Installing failed" not in said
    (checkout.venv / "halves").touch()
    indexes.is_open.set()

    checkout.make()

    assert not (checkout.venv / "halves").exists()


def test_two_at_once_install_one_after_the_other(checkout: Checkout, indexes: Indexes) -> None:
    with checkout.start() as first, checkout.start() as second:
        said = first.communicate(timeout=300)[1] + second.communicate(timeout=120)[1]

    assert (first.returncode, second.returncode) == (0, 0), said
    assert set(indexes.downloads.values()) == {1}
