"""Runs a program under strace, and plays what it did to one folder on a disk of ours."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.powerlib.disk import File, Folder, Resize, Write

_MODELED = (
    *("open", "openat", "close", "write", "pwrite64", "lseek", "ftruncate", "fsync", "fdatasync"),
    *("rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir"),
)
_REFUSED = (
    *("creat", "truncate", "writev", "pwritev", "pwritev2", "fallocate", "copy_file_range"),
    *("sendfile", "splice", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "mmap"),
    *("dup", "dup2", "dup3", "openat2"),
)
"""Could change a file behind the model's back: if one of them touches the folder, we stop."""
_CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+)")
_TEXT = r'"((?:\\x[0-9a-f]{2})*)"'
_PATH = re.compile(r"(?:(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>, )?" + _TEXT)
_LONGEST_BYTES = 1 << 28


class RecordError(Exception):
    """There is no record, or it holds something that the model of the disk does not know."""


@dataclass(frozen=True)
class Mark:
    """The program had acknowledged something."""

    facts: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """The program did something to the folder; `Replay.disk` has it."""

    call: str


def record(command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
    """Run a program, and write what it asks the kernel for into ``log``.

    Raises:
        RecordError: if there is no strace, or the program failed.
    """
    strace = shutil.which("strace")
    if strace is None:
        raise RecordError("strace is missing: apt-get install strace")
    calls = ",".join((*_MODELED, *_REFUSED))
    done = subprocess.run(
        [
            *(strace, "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", str(_LONGEST_BYTES)),
            *("-e", f"trace={calls}", "-e", "signal=none", "-o", str(log), *command),
        ],
        env=dict(environ),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RecordError(f"The recorded program failed: {done.stderr[-3000:]}")


class Replay:
    """A record, played on an empty disk.

    Args:
        log: what strace wrote.
        root: the folder that is the disk.
        marks: the file into which the program wrote a line of JSON for all it acknowledged.
    """

    def __init__(self, log: Path, root: Path, marks: Path) -> None:
        self.disk = Folder()
        self._log = log
        self._root = root
        self._of_interest = (_hex(root), _hex(marks))
        self._marks = _hex(marks)
        self._opened: dict[int, tuple[File | Folder, int]] = {}
        """Descriptor -> what it is of, and the position in it."""
        self._process = ""

    def events(self) -> Iterator[Mark | Change]:
        """Every change and every mark, once `disk` is as it was right after it.

        Raises:
            RecordError: at the first thing that cannot be played.
        """
        with self._log.open() as lines:
            for line in lines:
                if not any(path in line for path in self._of_interest):
                    continue
                found = _CALL.match(line)
                if found is None:
                    raise RecordError(f"not understood: {line[:300]}")
                process, call, arguments, result = found.groups()
                if int(result) < 0:
                    continue
                if self._marks in arguments:
                    if call == "write":
                        yield Mark(json.loads(_data(arguments)))
                elif self._play(process, call, arguments, int(result)):
                    yield Change(call)

    def _play(self, process: str, call: str, arguments: str, result: int) -> bool:
        """Do the same to the disk; False if it changed nothing."""
        if call == "mmap":
            # SQLite's index of its log is shared memory, made anew after a power cut.
            if "PROT_WRITE" in arguments and "MAP_SHARED" in arguments and not _is_index(arguments):
                raise RecordError(f"writes through memory: {arguments[:300]}")
            return False
        if call in _REFUSED or self._process not in {"", process}:
            raise RecordError(f"not modeled: {call}({arguments[:300]}) by process {process}")
        self._process = process
        if call in {"open", "openat"}:
            return self._open(arguments, result)
        if call in {"mkdir", "mkdirat"}:
            folder, name = self._place(*_paths(arguments))
            folder.change({name: Folder()})
            return True
        if call in {"unlink", "unlinkat", "rmdir"}:
            folder, name = self._place(*_paths(arguments))
            folder.change({name: None})
            return True
        if call.startswith("rename"):
            self._rename(arguments)
            return True
        return self._use(call, arguments, result)

    def _open(self, arguments: str, descriptor: int) -> bool:
        path = _paths(arguments)[0]
        flags = set(arguments.rpartition('"')[2].strip(", ").split(",")[0].split("|"))
        if "O_APPEND" in flags:
            raise RecordError(f"appends: {path}")
        if "O_TMPFILE" in flags:
            self._opened[descriptor] = File(), 0
            return False
        node: File | Folder
        is_changed = False
        if path == self._root:
            node = self.disk
        else:
            folder, name = self._place(path)
            is_changed = name not in folder.entries
            if is_changed:
                folder.change({name: File()})
            node = folder.entries[name]
            if isinstance(node, File) and "O_TRUNC" in flags and not is_changed:
                node.changes.append(Resize(0))
                is_changed = True
        self._opened[descriptor] = node, 0
        return is_changed

    def _rename(self, arguments: str) -> None:
        source, target = _paths(arguments)
        if source.parent != target.parent:
            raise RecordError(f"a rename from folder to folder is not modeled: {arguments}")
        folder, name = self._place(source)
        folder.change({name: None, target.name: folder.entries[name]})

    def _use(self, call: str, arguments: str, result: int) -> bool:
        descriptor = int(re.split("[<,]", arguments)[0])
        if call == "close":
            self._opened.pop(descriptor, None)
            return False
        if descriptor not in self._opened:
            # A copy made by fcntl, as for listing a folder; that is no way to change anything.
            if call == "lseek":
                return False
            raise RecordError(f"opened out of sight: {call}({arguments[:300]})")
        node, position = self._opened[descriptor]
        if call in {"fsync", "fdatasync"}:
            node.sync()
            return True
        if isinstance(node, Folder):
            raise RecordError(f"not modeled: {call} of a folder")
        if call == "lseek":
            self._opened[descriptor] = node, result
            return False
        if call == "ftruncate":
            node.changes.append(Resize(int(arguments.rpartition(",")[2])))
            return True
        data = _data(arguments)[:result]
        if call == "pwrite64":
            position = int(arguments.rpartition(",")[2])
        else:
            self._opened[descriptor] = node, position + result
        node.changes.append(Write(position, data))
        return True

    def _place(self, path: Path) -> tuple[Folder, str]:
        """The folder in which a path ends, and the name there."""
        folder = self.disk
        for name in path.parent.relative_to(self._root).parts:
            inner = folder.entries[name]
            if not isinstance(inner, Folder):
                raise RecordError(f"no folder: {path.parent}")
            folder = inner
        return folder, path.name


def _hex(path: Path) -> str:
    """As strace writes it."""
    return "".join(f"\\x{byte:02x}" for byte in str(path).encode())


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _data(arguments: str) -> bytes:
    found = re.search(_TEXT, arguments)
    if found is None:
        raise RecordError(f"without data: {arguments[:300]}")
    return _bytes(found[1])


def _paths(arguments: str) -> list[Path]:
    """The paths among a call's arguments, in order."""
    return [
        Path(_bytes(folder or "").decode()) / _bytes(name).decode()
        for folder, name in _PATH.findall(arguments)
    ]


def _is_index(arguments: str) -> bool:
    return f"{_hex(Path('-shm'))}>" in arguments
