"""The order in which a worker writes and syncs, on which a power cut's outcome depends.

What was synced survives a power cut, and of everything else any part may. So a file has to be
synced before it is renamed to its final name, its folder before the commit that lists the file, and
SQLite's write-ahead log by every commit.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.reliability.rounds import NotPossible, Round

_TRACED = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2"
_LINE = re.compile(r"(\d+) +(.*)")
_UNFINISHED, _RESUMED = " <unfinished ...>", re.compile(r"<\.\.\. \w+ resumed>")
_CALL = re.compile(r"(\w+)\(\d+<([^>]+)>")
_RENAME = re.compile(r'rename\w*\((?:AT_FDCWD\S*, )?"([^"]+)", (?:AT_FDCWD\S*, )?"([^"]+)"')
_STOP_TIMEOUT_S = 30


def trace_syncs(stage: Round) -> None:
    """Trace a worker while it paints, and check the order of its writes, syncs and renames."""
    strace = shutil.which("strace")
    if strace is None:
        raise NotPossible("strace is not installed (Debian: apt install strace)")
    worker, idle = stage.site.workers
    log = stage.site.folder / f"strace-{stage.result.number}.log"
    command = [strace, "-f", "-y", "-s", "0", "-e", f"trace={_TRACED}", "-o", str(log)]
    # Nothing may be painted by the worker that is not traced.
    idle.is_held_down = True
    idle.terminate()
    try:
        with subprocess.Popen(
            [*command, "-p", str(worker.pid)], stderr=subprocess.PIPE, text=True
        ) as tracer:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            if "attached" not in said:
                tracer.wait(_STOP_TIMEOUT_S)
                raise NotPossible(said.strip())
            stage.order(0)
            stage.wait_for_end()
            # The tracer ends with it, once the log is complete.
            worker.terminate()
            tracer.communicate(timeout=_STOP_TIMEOUT_S)
    finally:
        idle.is_held_down = False
    faults, renames = out_of_order(log.read_text().splitlines(), stage.site.storage.root)
    for fault in faults:
        stage.wrong("broken", fault)
    if not renames:
        stage.wrong("broken", "no file was seen to be renamed into place")
    stage.note(f"{renames} files renamed into place")


def out_of_order(lines: Iterable[str], root: Path) -> tuple[list[str], int]:
    """Return what a power cut could break, and the number of files renamed into place.

    Args:
        lines: of strace, with thread ids (``-f``) and paths (``-y``).
        root: the folder of the site's files.
    """
    faults: list[str] = []
    renames = 0
    unsynced: set[str] = set()
    """Files with writes since they were last synced."""
    renamed: dict[str, set[str]] = {}
    """Thread -> folders in which it renamed a file, not synced since."""
    logged: set[str] = set()
    """Threads that wrote to the write-ahead log, and have not synced it since."""
    for thread, call in _calls(lines):
        if rename := _RENAME.match(call):
            source, target = rename.groups()
            if not Path(target).is_relative_to(root):
                continue
            renames += 1
            if source in unsynced:
                faults.append(f"{Path(target).name} was renamed into place before it was synced")
            if thread in logged:
                faults.append(f"a commit before {Path(target).name} was not synced")
            renamed.setdefault(thread, set()).add(str(Path(target).parent))
        elif told := _CALL.match(call):
            name, path = told.groups()
            is_log = path.endswith("-wal")
            if "sync" in name:
                unsynced.discard(path)
                renamed.get(thread, set()).discard(path)
                if is_log:
                    logged.discard(thread)
                continue
            unsynced.add(path)
            if is_log:
                logged.add(thread)
                faults += [f"a commit came before {f} was synced" for f in renamed.pop(thread, ())]
    return faults + ["the last commit of a thread was not synced"] * len(logged), renames


def _calls(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield thread and text of each call that succeeded, in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in lines:
        if (parts := _LINE.match(line)) is None:
            continue
        thread, text = parts.groups()
        if text.endswith(_UNFINISHED):
            begun[thread] = text.removesuffix(_UNFINISHED)
            continue
        if resumed := _RESUMED.match(text):
            text = begun.pop(thread, "") + text[resumed.end() :]
        if " = -1 " not in text:
            yield thread, text
