"""Several processes, and processes that are killed."""

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
def start(world, make_distribution, monkeypatch):
    """Start the command in a process of its own, with the small parts installed."""
    site = make_distribution("toys-dist", {"toys": "toys"}, {"toys": (HERE / "toys.py").read_text()})
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("ANYBIND_PLUGINS", "bench,media,toys")
    started = []

    def begin(*more):
        command = [sys.executable, "-m", "anybind", *map(str, world.arguments("--json", *more))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_until(there):
    """Wait for what is bound to come; the limit is for the test that would hang."""
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def marks(world):
    lines = world.marks_file.read_text().splitlines() if world.marks_file.exists() else []
    return [line.removeprefix("asked ") for line in lines if line.startswith("asked ")]


def answers(world):
    """Identities, states and metrics; not the versions, which this process and those that it starts may differ in."""
    cells = world.held()["cells"]
    return [(cell["identity"], cell["state"], cell["result"] and cell["result"]["metrics"]) for cell in cells]


@pytest.mark.slow
def test_two_processes_ask_each_cell_once_and_end_with_the_file_of_one(world, start):
    text = world.suite.read_text()
    world.suite.write_text(text[: text.index("[[evaluations]]")])
    world.add("held up", note="held up", gate=True)
    for number in range(8):
        world.add(f"number {number}", "seeds = [0, 1]\n", note=f"n{number}-")
    one = start()
    wait_until(lambda: marks(world) == ["held up0 toy"])
    two = start()
    wait_until(lambda: len(marks(world)) == 17)  # the other has gone on past the cell that is locked
    (world.folder / "gate").touch()
    said = [json.loads(process.communicate()[0]) for process in (one, two)]
    assert [one.returncode, two.returncode] == [0, 0]
    assert sorted(marks(world)) == sorted({*marks(world)})
    assert len(marks(world)) == 17
    assert all(state["states"]["done"] == 17 for state in said)
    assert sum(state["embedded"]["computed"] for state in said) == 17 * 3
    together = (world.results / "results.json").read_bytes()
    world.results = world.folder / "alone"
    assert start().wait() == 0
    assert (world.results / "results.json").read_bytes() == together


def test_a_killed_run_goes_on_where_it_was(world, start):
    world.add("held up", note="held up", gate=True)
    world.add("last", note="last")
    process = start()
    wait_until(lambda: "held up0 toy" in marks(world))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert world.states() == ["done"] * 3
    (world.folder / "gate").touch()
    world.marks()
    assert world.run()["code"] == 0
    assert world.marks() == ["held up0 toy", "last0 toy"]
    assert world.states() == ["done"] * 5


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_an_interrupted_run_keeps_what_is_done_and_says_so(world, start):
    world.add("held up", note="held up", gate=True)
    process = start()
    wait_until(lambda: "held up0 toy" in marks(world))
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert json.loads(out)["states"] == {"done": 3, "to do": 1, "failed": 0, "missing": 0, "not-applicable": 0}
    assert err.strip().splitlines() == [
        "interrupted: finished cells are saved, and the same command resumes from there"
    ]
    assert world.states() == ["done"] * 3


def test_a_failure_of_another_process_at_the_same_time_is_not_repeated(world, a_plan):
    world.add("inner", fail="internal")
    one, two = a_plan(), a_plan()
    for run in (one, two):
        run.execute()
    assert world.marks() == ["first0 toy", "second0 toy", "second1 toy", "internal0 toy"]
    assert [cell.state for cell in two.cells] == ["done", "done", "done", "failed"]
    a_plan().execute()
    assert world.marks() == ["internal0 toy"]


@pytest.mark.slow
def test_ranks_of_torchrun_answer_together_and_one_writes(world, start, tmp_path):
    pytest.importorskip("torch")
    world.add("inner", fail="internal")
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
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [1, 0], said
    assert json.loads(said[0][0])["states"]["done"] == 3
    assert said[1] == ("", "")
    assert sorted(marks(world)) == sorted(["first0 toy", "second0 toy", "second1 toy", "internal0 toy"] * 2)
    assert len((world.results / "log.txt").read_text().splitlines()) == 4
    together = answers(world)
    world.results = tmp_path / "alone"
    world.run()
    assert answers(world) == together


def test_while_another_process_evaluates_a_cell_no_encoder_is_loaded(world, a_plan, monkeypatch):
    a_plan().execute()
    monkeypatch.setattr("anybind_bench.suite_run.WAIT_S", 0)
    world.add("new", note="new")
    run = a_plan()
    [cell] = run.to_do
    world.marks("")
    waits = []
    with run.store.lock(cell.identity):
        monkeypatch.setattr(run, "_wait", lambda: waits.append(1) if len(waits) < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.execute()
    assert world.marks("") == []
