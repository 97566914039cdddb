import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import speed
from benchmarks.common import commandline
from benchmarks.common.machine import free_bytes
from config import PROJECT_ROOT
from tests.servers import wait_until
from tests.unit.benchmarks.fakes import folder_of_pictures


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return folder_of_pictures(tmp_path / "pictures", ["boat"], ["oil"])


@pytest.fixture(autouse=True)
def _own_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner keeps its own handlers."""
    monkeypatch.setattr(commandline, "raise_on_stop", lambda: None)


def run(pictures: Path, *arguments: str) -> int:
    out = str(pictures.parent / "out")
    few = ("--output", out, "--device", "cpu", "--threads", "1")
    return speed.main(["--pictures", str(pictures), *few, *arguments])


def test_measures_and_reports(pictures: Path) -> None:
    status = run(
        pictures,
        *("--size", "64", "--backbone", "compact", "--painting-size", "64"),
        *("--effort", "draft", "--peer-steps", "0"),
    )

    assert status == 0
    found = json.loads((pictures.parent / "out" / "results.json").read_text())
    (evaluation,), (painting,) = found["evaluations"], found["paintings"]
    assert evaluation["seconds"] > 0
    assert evaluation["share_of_fp32"] > 0
    assert evaluation["peak_bytes"] > 100_000_000
    assert painting["evaluations"] == 60 + 40 + 8
    assert painting["seconds"] > evaluation["seconds"]
    assert (pictures.parent / "out" / "plot.png").stat().st_size > 1000
    assert "| compact | 64 × 48 |" in (pictures.parent / "out" / "table.md").read_text()


def test_graphs_are_refused_without_cuda(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(pictures, "--graphs", "--peer-steps", "0")

    assert status == 2
    assert capsys.readouterr().err == "Graphs are recorded on CUDA only; leave --graphs out.\n"


@pytest.mark.skipif(free_bytes() is None, reason="this system does not tell how much is free")
def test_what_memory_is_too_small_for_is_said(pictures: Path) -> None:
    # Rows may take what is free; here the caller's limit is far below.
    command = [
        *(sys.executable, "-m", "benchmarks.speed", "--pictures", str(pictures)),
        *("--output", str(pictures.parent / "out"), "--device", "cpu", "--threads", "1"),
        *("--size", "512", "--backbone", "vgg19", "--painting-size", "--peer-steps", "0"),
    ]
    # Builds of torch for CUDA reserve 560 MB more than those for the CPU.
    loaded = "import transfer.engine; print(open('/proc/self/status').read())"
    status = subprocess.run(
        [sys.executable, "-c", loaded], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    found = re.search(r"VmData:\s*(\d+) kB", status.stdout)
    assert found is not None
    limit_kb = int(found[1]) + 375_000
    limited = ["sh", "-c", f'ulimit -d {limit_kb}; exec "$@"', "sh", *command]

    done = subprocess.run(limited, cwd=PROJECT_ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert "without an evaluation of vgg19 at 512 px: " in done.stdout
    assert "memory" in done.stdout


def test_what_would_take_too_long_is_left_out(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(
        pictures,
        *("--size", "64", "4096", "--backbone", "compact", "--painting-size"),
        *("--peer-steps", "0", "--row-minutes", "0.001"),
    )

    assert status == 0
    assert "minutes here, and 0.001 are the limit" in capsys.readouterr().out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nobody_behind(pictures: Path, number: signal.Signals) -> None:
    command = [
        *(sys.executable, "-m", "benchmarks.speed", "--pictures", str(pictures)),
        *("--output", str(pictures.parent / "out"), "--device", "cpu", "--threads", "1"),
        *("--size", "--painting-size", "1024", "--effort", "fine", "--peer-steps", "0"),
    ]
    with subprocess.Popen(
        command, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            # Its order names this folder's pictures: nobody else's does.
            wait_until(
                lambda: measuring(pictures) or process.poll() is not None,
                timeout_s=120,
                message="a row",
            )
            process.send_signal(number)
            _, errors = process.communicate(timeout=120)
        finally:
            process.kill()

    assert process.returncode == 128 + number
    assert "what is finished is written" in errors
    assert "Traceback" not in errors
    assert not measuring(pictures)


def measuring(pictures: Path) -> list[str]:
    """Processes that measure a row with these pictures."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True
    )
    return [
        line
        for line in listed.stdout.splitlines()
        if "benchmarks.speedlib.measure" in line and str(pictures) in line
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--pictures", "{folder}/none"], "There is no folder"),
        (["--pictures", "{folder}"], "has no pair: content-*.jpg and style-*.jpg"),
        (["--size", "9"], "size must be from 64 to 8192 px, not 9"),
        (["--size", "x"], "wanted a whole number from 0, not 'x'"),
        (["--painting-size", "99999"], "size must be from 64 to 8192 px"),
        (["--backbone", "resnet"], "invalid choice: 'resnet'"),
        (["--effort", "best"], "invalid choice: 'best'"),
        (["--painter", "me"], "invalid choice: 'me'"),
        (["--device", "tpu"], "invalid choice: 'tpu'"),
        (["--threads", "-1"], "wanted a whole number from 0, not '-1'"),
        (["--row-minutes", "0"], "wanted a number of minutes above 0, not '0'"),
        (["--row-minutes", "nan"], "wanted a number of minutes above 0"),
        (["--size", "--painting-size", "--peer-steps", "0"], "Nothing would be measured"),
        (["--output", "docs"], "lies in the repository"),
    ],
)
def test_a_mistake_is_one_sentence(
    pictures: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    status = run(pictures, *(one.format(folder=pictures.parent) for one in arguments))

    error = capsys.readouterr().err
    assert status == 2
    assert sentence in error
    assert error.count("\n") == 1
