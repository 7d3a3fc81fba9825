"""Concurrent, killed and interrupted processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def start(workspace, make_distribution, monkeypatch):
    """Start the command in a subprocess, with the toy plugin installed."""
    site = make_distribution("toys-dist", {"toys": "toys"}, {"toys": (HERE / "toys.py").read_text()})
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("ANYBIND_PLUGINS", "bench,media,toys")
    started = []

    def begin(*more):
        command = [sys.executable, "-m", "anybind", *map(str, workspace.list_arguments("--json", *more))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_until(condition):
    """Wait until a condition holds, for 60 s at most."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def read_marks(workspace):
    lines = workspace.marks_file.read_text().splitlines() if workspace.marks_file.exists() else []
    return [line.removeprefix("evaluated ") for line in lines if line.startswith("evaluated ")]


def list_results(workspace):
    """List identities, states and metrics; versions may differ between processes."""
    cells = workspace.read_results()["cells"]
    return [(cell["identity"], cell["state"], cell["result"] and cell["result"]["metrics"]) for cell in cells]


@pytest.mark.slow
def test_two_processes_evaluate_each_cell_once_and_write_the_same_file(workspace, start):
    text = workspace.suite.read_text()
    workspace.suite.write_text(text[: text.index("[[evaluations]]")])
    workspace.add("waiting", note="waiting", gate=True)
    for number in range(8):
        workspace.add(f"number {number}", "seeds = [0, 1]\n", note=f"n{number}-")
    one = start()
    wait_until(lambda: read_marks(workspace) == ["waiting0 toy"])
    two = start()
    wait_until(lambda: len(read_marks(workspace)) == 17)  # the other process has skipped the locked cell
    (workspace.folder / "gate").touch()
    output = [json.loads(process.communicate()[0]) for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0]
    assert sorted(read_marks(workspace)) == sorted({*read_marks(workspace)})
    assert len(read_marks(workspace)) == 17
    assert all(state["states"]["done"] == 17 for state in output)
    assert sum(state["embedded"]["computed"] for state in output) == 17 * 3
    concurrent = (workspace.results / "results.json").read_bytes()
    workspace.results = workspace.folder / "alone"
    assert start().wait() == 0
    assert (workspace.results / "results.json").read_bytes() == concurrent


def test_killed_run_resumes(workspace, start):
    workspace.add("waiting", note="waiting", gate=True)
    workspace.add("last", note="last")
    process = start()
    wait_until(lambda: "waiting0 toy" in read_marks(workspace))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert workspace.list_states() == ["done"] * 3
    (workspace.folder / "gate").touch()
    workspace.read_marks()
    assert workspace.run()["code"] == 0
    assert workspace.read_marks() == ["waiting0 toy", "last0 toy"]
    assert workspace.list_states() == ["done"] * 5


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_interrupted_run_keeps_finished_cells(workspace, start):
    workspace.add("waiting", note="waiting", gate=True)
    process = start()
    wait_until(lambda: "waiting0 toy" in read_marks(workspace))
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert json.loads(out)["states"] == {"done": 3, "to do": 1, "failed": 0, "missing": 0, "not-applicable": 0}
    assert err.strip().splitlines() == ["interrupted: finished cells are saved; repeat the command to resume"]
    assert workspace.list_states() == ["done"] * 3


def test_concurrent_failure_is_not_repeated(workspace, plan_run):
    workspace.add("inner", fail="internal")
    one, two = plan_run(), plan_run()
    for run in (one, two):
        run.execute()
    assert workspace.read_marks() == ["first0 toy", "second0 toy", "second1 toy", "internal0 toy"]
    assert [cell.state for cell in two.cells] == ["done", "done", "done", "failed"]
    plan_run().execute()
    assert workspace.read_marks() == ["internal0 toy"]


@pytest.mark.slow
def test_torchrun_ranks_evaluate_concurrent_and_rank_0_writes(workspace, start, tmp_path):
    pytest.importorskip("torch")
    workspace.add("inner", fail="internal")
    port = 20000 + os.getpid() % 20000
    variables = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    processes = []
    for rank in ("0", "1"):
        for name, value in {**variables, "RANK": rank, "LOCAL_RANK": rank}.items():
            os.environ[name] = value
        try:
            processes.append(start())
        finally:
            for name in (*variables, "RANK", "LOCAL_RANK"):
                os.environ.pop(name, None)
    output = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [1, 0], output
    assert json.loads(output[0][0])["states"]["done"] == 3
    assert output[1] == ("", "")
    assert sorted(read_marks(workspace)) == sorted(["first0 toy", "second0 toy", "second1 toy", "internal0 toy"] * 2)
    assert len((workspace.results / "log.txt").read_text().splitlines()) == 4
    concurrent = list_results(workspace)
    workspace.results = tmp_path / "alone"
    workspace.run()
    assert list_results(workspace) == concurrent


def test_locked_cell_loads_no_encoder(workspace, plan_run, monkeypatch):
    plan_run().execute()
    monkeypatch.setattr("anybind_bench.suite_run.POLL_INTERVAL_S", 0)
    workspace.add("new", note="new")
    run = plan_run()
    [cell] = run.pending
    workspace.read_marks("")
    waits = []
    with run.store.lock(cell.identity):
        monkeypatch.setattr(run, "_wait_for_lock", lambda: waits.append(1) if len(waits) < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.execute()
    assert workspace.read_marks("") == []
