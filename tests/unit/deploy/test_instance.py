import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import ConfigError, read_secret_key, secret_key_file
from deploy import instance
from deploy.errors import StartError


def test_an_unusable_setting_is_reported_before_any_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PIC2PAINT_TRASH_DAYS"):
        instance.dir_from_env(
            {"PIC2PAINT_INSTANCE": str(tmp_path / "new"), "PIC2PAINT_TRASH_DAYS": "many"}
        )

    assert not (tmp_path / "new").exists()


def test_instance_folder_is_private(tmp_path: Path) -> None:
    instance.make_folders(tmp_path / "deep" / "instance")

    assert stat.S_IMODE((tmp_path / "deep" / "instance").stat().st_mode) == 0o700


def test_instance_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    instance.make_folders(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_new_instance_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    instance_dir = tmp_path / "deep" / "instance"

    instance.make_folders(instance_dir)
    assert {tmp_path.stat().st_ino, instance_dir.parent.stat().st_ino} <= set(synced)

    synced.clear()
    instance.make_secret_key(instance_dir)
    key = secret_key_file(instance_dir)
    assert synced == [key.stat().st_ino, instance_dir.stat().st_ino]


def test_secret_key_is_private_and_stays(tmp_path: Path) -> None:
    instance.make_secret_key(tmp_path)
    key = read_secret_key(tmp_path)
    instance.make_secret_key(tmp_path)

    assert len(key) == 64
    assert read_secret_key(tmp_path) == key
    assert stat.S_IMODE(secret_key_file(tmp_path).stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [secret_key_file(tmp_path)]


def test_second_start_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    instance.make_folders(tmp_path)
    with (
        instance.lock_folder(tmp_path),
        pytest.raises(StartError, match=rf"already running .*process {os.getpid()}"),
        instance.lock_folder(tmp_path),
    ):
        pass

    with instance.lock_folder(tmp_path):
        pass


def test_start_waits_for_the_supervisor_of_a_killed_start(tmp_path: Path) -> None:
    instance.make_folders(tmp_path)
    lock = tmp_path / "run" / "lock"
    # Holds the lock for a second, in the name of a process that is gone.
    program = """
import fcntl, subprocess, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
gone = subprocess.Popen(["true"])
gone.wait()
print(gone.pid, file=lock, flush=True)
print("locked", flush=True)
time.sleep(1)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, lock], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with instance.lock_folder(tmp_path):
            assert lock.read_text() == f"{os.getpid()}\n"


def test_sockets_move_where_their_path_is_short(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 20)
    with instance.short_folder(long) as folder:
        assert folder != long
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_short_socket_path_is_kept(tmp_path: Path) -> None:
    with instance.short_folder(Path("/srv/instance/run")) as folder:
        assert folder == Path("/srv/instance/run")
