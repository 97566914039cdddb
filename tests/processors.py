"""Runner of the engine's tests as on other processors: `python -m tests.processors --help`.

oneDNN and torch choose their code by the processor's instruction sets, add up in another order in
each, and can be asked to do without the newer ones. A numeric test has to pass with all of them,
and with other numbers than its own: each run draws from seeds of its own (`tests/seeds.py`).
`make test-processors` calls this; it is for whoever changes the engine, and no part of `make test`.

A run of all tests takes about three minutes of processor time, most of it in test_strength (four
paintings), test_objective (margins of tiles, at 528 x 544 px) and whatever paints with vgg19. Tests
that hardly compute (downloads, reports) are run with the others: little would be saved.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/unit/transfer", "tests/unit/benchmarks")
NATIVE = "native"
_COUNT = re.compile(r"(\d+) (passed|failed|error)")


@dataclass(frozen=True)
class Processor:
    """Settings that restrict oneDNN and torch to older instructions, and the flags they need."""

    onednn: str
    torch: str
    flags: frozenset[str]

    @property
    def environ(self) -> Mapping[str, str]:
        return {"ONEDNN_MAX_CPU_ISA": self.onednn, "ATEN_CPU_CAPABILITY": self.torch}


_AVX512 = frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"})
PROCESSORS = {
    "sse4.1": Processor("SSE41", "default", frozenset({"sse4_1"})),
    "avx2": Processor("AVX2", "avx2", frozenset({"avx2", "fma"})),
    "avx512": Processor("AVX512_CORE", "avx512", _AVX512),
    "avx512-bf16": Processor("AVX512_CORE_BF16", "avx512", _AVX512 | {"avx512_bf16"}),
    "amx": Processor("AVX512_CORE_AMX", "avx512", _AVX512 | {"amx_bf16", "amx_tile"}),
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.processors", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many; default: %(default)s")
    parser.add_argument("--all", action="store_true", help="all seeds with every instruction set")
    parser.add_argument("tests", nargs="*", default=TESTS, help="default: %(default)s")
    options = parser.parse_args(arguments)

    flags = processor_flags()
    environs: dict[str, Mapping[str, str]] = {NATIVE: {}}
    for name, processor in PROCESSORS.items():
        if missing := processor.flags - flags:
            print(f"{name} is skipped: this processor has no {', '.join(sorted(missing))}")
        else:
            environs[name] = processor.environ
    print(f"\n{'processor':<12} {'seed':>4} {'passed':>6} {'failed':>6} {'seconds':>7}")
    has_failed = False
    for name, environ in environs.items():
        for seed in range(options.seeds if options.all or name == NATIVE else 1):
            has_failed = run(name, environ, seed, options.tests) or has_failed
    return int(has_failed)


def run(name: str, environ: Mapping[str, str], seed: int, tests: Sequence[str]) -> bool:
    """Run the tests once, print a row of the table, and return whether any failed."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=line", f"--hypothesis-seed={seed}"]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", *tests],
        cwd=PROJECT_ROOT,
        env=os.environ | environ | {"PIC2PAINT_TEST_SEED": str(seed)},
        capture_output=True,
        text=True,
    )
    lines = done.stdout.splitlines() or [done.stderr]
    counts = {what: int(number) for number, what in _COUNT.findall(lines[-1])}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    row = f"{name:<12} {seed:>4} {counts.get('passed', 0):>6} {failed:>6}"
    print(f"{row} {time.monotonic() - began:>7.0f}", flush=True)
    if done.returncode:
        reasons = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        print("\n".join(f"    {line}" for line in reasons or lines), flush=True)
    return bool(done.returncode)


def processor_flags() -> frozenset[str]:
    """Return the instruction sets of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return frozenset(next(line for line in lines if line.startswith("flags")).split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
