"""Locks of outputs between processes, and leftovers of killed ones."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import anybind
from anybind import locks
from anybind.files import atomic_folder, atomic_path, check_output, lock_file, lock_output

WRITE = """
import sys, time
from anybind.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""
COUNT = """
import sys
from pathlib import Path
from anybind.files import lock_file
count = Path(sys.argv[1])
for _ in range(100):
    with lock_file(count.with_name("lock")) as locked:
        count.write_text(str(int(count.read_text()) + 1))
"""


@contextlib.contextmanager
def write_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process write a file until its stdin is closed."""
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        yield process


def list_hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".anybind-")]


@pytest.fixture(autouse=True)
def look_again(monkeypatch):
    """Look for leftovers in every folder again, as a new process does."""
    monkeypatch.setattr(locks, "_cleaned", set())


def test_an_output_that_another_process_writes_is_refused(tmp_path):
    path = tmp_path / "out.h5"
    with write_elsewhere(path) as process:
        with (
            pytest.raises(anybind.BadInput, match=r"out\.h5: another process is writing it; wait for it"),
            lock_output(path),
        ):
            pass
        with atomic_path(tmp_path / "other.h5") as temporary:
            temporary.write_text("other")
        process.communicate()
    assert path.read_text() == "half"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other.h5", "out.h5"]


def test_a_command_refuses_an_output_that_another_process_writes(cli, tmp_path):
    (tmp_path / "events.csv").write_text("t,x,y,p\n1,0,0,1\n2,3,4,0\n")
    with write_elsewhere(tmp_path / "out.npz") as process:
        error = cli("convert", tmp_path / "events.csv", tmp_path / "out.npz").error()
        process.kill()
    assert "another process is writing it" in error
    locks._cleaned.clear()
    assert cli("convert", tmp_path / "events.csv", tmp_path / "out.npz").code == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == ["events.csv", "out.npz"]


def test_leftovers_of_a_killed_process_are_removed_and_those_of_a_living_one_stay(tmp_path):
    with write_elsewhere(tmp_path / "alive") as alive:
        with write_elsewhere(tmp_path / "dead") as dead:
            dead.kill()
        assert len(list_hidden(tmp_path)) == 4  # a folder and a lock each
        check_output(tmp_path / "another")
        assert len(list_hidden(tmp_path)) == 2
        alive.communicate()
    assert [each.name for each in tmp_path.iterdir()] == ["alive"]


def test_a_stopped_process_keeps_its_lock(tmp_path):
    with write_elsewhere(tmp_path / "out") as process:
        process.send_signal(signal.SIGSTOP)
        check_output(tmp_path / "out")
        assert len(list_hidden(tmp_path)) == 2
        process.send_signal(signal.SIGCONT)
        process.communicate()
    assert (tmp_path / "out").read_text() == "half"


def test_a_lock_that_its_holder_removes_excludes_all_others(tmp_path):
    count = tmp_path / "count"
    count.write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", COUNT, str(count)]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert count.read_text() == "400"
    assert not (tmp_path / "lock").exists()


def test_a_process_locks_an_output_repeatedly(tmp_path):
    with lock_output(tmp_path / "out"), lock_output(tmp_path / "out"):
        with atomic_path(tmp_path / "out") as temporary:
            temporary.write_text("x")
        assert list_hidden(tmp_path)
    assert not list_hidden(tmp_path)


def test_a_lock_file_excludes_others_in_the_same_process(tmp_path):
    with lock_file(tmp_path / "lock") as first, lock_file(tmp_path / "lock", wait=False) as second:
        assert (first, second) == (True, False)
    with lock_file(tmp_path / "lock", wait=False) as third:
        assert third


def test_a_forked_process_neither_has_nor_ends_the_lock(tmp_path):
    with lock_output(tmp_path / "out"):
        child = os.fork()
        if not child:
            try:
                with lock_output(tmp_path / "out"):
                    pass
            except anybind.BadInput:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert list_hidden(tmp_path)


@pytest.mark.parametrize("place", ["without locks", "on the network"])
def test_without_reliable_locks_only_old_leftovers_are_removed(tmp_path, monkeypatch, place):
    with write_elsewhere(tmp_path / "dead") as dead:
        dead.kill()
    (tmp_path / ".anybind-0123456789abcdef.npz").write_text("of an earlier version")
    if place == "without locks":

        def fail(descriptor: int) -> bool:
            raise OSError(errno.ENOSYS, "Function not implemented")

        monkeypatch.setattr(locks, "_lock_descriptor", fail)
    else:
        monkeypatch.setattr(locks, "is_on_network_drive", lambda folder: True)
    with atomic_path(tmp_path / "out") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "out").read_text() == "new"
    left = [path for path in tmp_path.iterdir() if path.name.startswith(".anybind-") and path.suffix != ".lock"]
    assert len(left) == 2
    for path in (each for folder in left for each in (*folder.glob("*"), folder)):
        os.utime(path, (0, 0))
    locks._cleaned.clear()
    check_output(tmp_path / "out")
    assert not [path for path in left if path.exists()]


def test_a_folder_is_complete_or_missing(tmp_path):
    with pytest.raises(KeyError), atomic_folder(tmp_path / "new") as temporary:
        (temporary / "file").write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())
    with atomic_folder(tmp_path / "new") as temporary:
        (temporary / "file").write_text("whole")
    assert (tmp_path / "new" / "file").read_text() == "whole"
    for path in (tmp_path / "new", tmp_path / "new" / "file"):
        with pytest.raises(anybind.BadInput, match="it exists; choose another name"), atomic_folder(path):
            pytest.fail("work was done before the check")
    assert (tmp_path / "new" / "file").read_text() == "whole"
    (tmp_path / "empty").mkdir()
    with atomic_folder(tmp_path / "empty") as temporary:
        (temporary / "file").touch()
    assert (tmp_path / "empty" / "file").is_file()
