import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, mmap, sys
from pathlib import Path
from transfer.memory.malloc import configure_malloc

def resident_bytes():
    return mmap.PAGESIZE * int(Path("/proc/self/statm").read_text().split()[1])

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
configure_malloc(is_limited=sys.argv[1] == "limited")
size = 16 << 20
block = libc.malloc(size)
ctypes.memset(block, 1, size)
full = resident_bytes()
libc.free(block)
print((full - resident_bytes()) / size)
"""


@pytest.mark.parametrize(("limit", "is_given_back"), [("limited", True), ("unlimited", False)])
def test_only_a_limited_process_gives_freed_blocks_back_at_once(
    limit: str, is_given_back: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, limit], capture_output=True, text=True, check=True
    )

    # The whole block, or nothing of it, but for other pages of the process.
    assert (float(done.stdout) > 0.5) is is_given_back
