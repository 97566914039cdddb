import subprocess
import sys

import pytest

from config import PROJECT_ROOT
from webapp.worker import peak_memory

# In a process of its own: memory that other tests hold would be counted, too.
WORK = """
from webapp.worker import peak_memory

block = bytearray(200_000_000)
before = peak_memory.peak_bytes()
del block
peak_memory.reset_peak()
print(before, peak_memory.peak_bytes())
"""


@pytest.mark.skipif(peak_memory.peak_bytes() is None, reason="this system reports no peak")
def test_the_peak_is_that_since_the_reset() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )

    before, after = map(int, done.stdout.split())
    assert before > 200_000_000
    assert after < before - 100_000_000
