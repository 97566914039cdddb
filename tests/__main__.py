"""Runner of all checks: `python -m tests`, which `make test` calls.

Names of checks as arguments run only those; `lint` stands for all but the tests. Unit and
integration tests record which lines and branches they run, and `coverage` sums that up; worker and
web processes, and the site of the browser tests, are not counted.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
LINT = {
    "ruff": ["ruff", "check"],
    "format": ["ruff", "format", "--check"],
    "mypy": ["mypy"],
    "imports": ["lint-imports", "--no-logo"],
}
TESTS = {
    "unit": ["coverage", "run", "-m", "pytest", "tests/unit"],
    "integration": ["coverage", "run", "--append", "-m", "pytest", "tests/integration"],
    "e2e": ["pytest", "tests/e2e"],
    "coverage": ["coverage", "report"],
}
CHECKS = LINT | TESTS


def main(arguments: Sequence[str]) -> int:
    names = [
        name for argument in arguments for name in (LINT if argument == "lint" else [argument])
    ]
    if unknown := [name for name in names if name not in CHECKS]:
        print(f"Unknown: {', '.join(unknown)}. There are: lint, {', '.join(CHECKS)}.")
        return 2
    lines = []
    has_failed = False
    for name in names or CHECKS:
        print(f"\n--- {name}", flush=True)
        began = time.monotonic()
        status, last_line = run(CHECKS[name])
        took_s = time.monotonic() - began
        verdict = "FAILED" if status else "ok"
        lines.append(f"{name:<12} {verdict:<7} {took_s:6.1f} s  {last_line}")
        has_failed = has_failed or bool(status)
    print("\n" + "\n".join(lines))
    return int(has_failed)


def run(command: Sequence[str]) -> tuple[int, str]:
    """Run a tool, showing its output, and return its exit status and last line."""
    tool = Path(sys.executable).with_name(command[0])
    last_line = ""
    with subprocess.Popen(
        [tool, *command[1:]],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last_line = line.strip(" =\n") or last_line
    return process.returncode, last_line


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
