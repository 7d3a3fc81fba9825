"""The fuzzer of readers: its seeds are valid, its inputs repeatable, and it reports whatever breaks a rule."""

from __future__ import annotations

import json
import os
import signal
import time
import warnings
from collections.abc import MutableSequence
from pathlib import Path
from random import Random

import numpy as np
import pytest

import anybind
from anybind import AnybindWarning
from anybind.reader import list_suffixes
from helpers import fuzz_readers
from helpers.fuzzing import supervisor
from helpers.fuzzing.execution import execute
from helpers.fuzzing.mutation import mutate_bytes
from helpers.fuzzing.seeds import FAMILIES, Seed, make_seeds
from helpers.fuzzing.worker import INDEX, INPUTS, SINCE, Task, make_input

WITHOUT_SEED = {".aif", ".hdf5", ".jpeg", ".m2ts", ".m4b", ".mpeg", ".oga", ".ogg", ".tiff", ".webm"}
"""Suffixes of formats whose seed has another suffix."""
N_INPUTS = 150


def write(seed: Seed, folder: Path) -> Path:
    path = folder / f"seed{seed.suffix}"
    path.write_bytes(seed.content)
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_every_seed_is_read_to_its_end(family: str, tmp_path: Path) -> None:
    for seed in make_seeds(family):
        outcomes = [execute(write(seed, tmp_path), chunks, seed.options) for chunks in (False, True)]
        assert [(each.fault, each.past_header, each.accepted) for each in outcomes] == [(None, True, True)] * 2, (
            seed.name
        )


def test_every_suffix_of_a_reader_has_a_seed() -> None:
    suffixes = {seed.suffix for family in FAMILIES for seed in make_seeds(family)}
    assert list_suffixes() - suffixes - WITHOUT_SEED == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_seeds_and_inputs_are_the_same_at_each_run(family: str) -> None:
    first, second = make_seeds(family), make_seeds(family)
    assert first == second
    for index in range(len(first)):
        assert make_input(first, family, 3, index) == make_input(second, family, 3, index)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_damaged_files_are_read_or_refused_and_half_get_past_the_header(family: str, tmp_path: Path) -> None:
    seeds = make_seeds(family)
    outcomes = {}
    for index in range(N_INPUTS if seeds else 0):
        seed, content = make_input(seeds, family, 0, index)
        path = write(Seed(seed.name, seed.suffix, content), tmp_path)
        outcomes[seed.name, index] = execute(path, index % 3 == 2, seed.options)
    assert {key: each.fault for key, each in outcomes.items() if each.fault} == {}
    assert 2 * sum(each.past_header for each in outcomes.values()) >= len(outcomes)


def break_rules(task: Task, state: MutableSequence[float]) -> None:
    """Stand in for a worker: input 2 crashes it, input 5 hangs."""
    for index in range(task.start, task.stop, task.step):
        (task.scratch / "crash.log").touch()
        (task.scratch / "origin.json").write_text('["made", {}]')
        (task.scratch / "input.bin").write_bytes(bytes([index]))
        state[INDEX], state[SINCE] = index, time.monotonic()
        if index == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        if index == 5:
            time.sleep(100)
        state[INPUTS] += 1
    state[SINCE] = 0


def test_crashes_and_hangs_are_counted_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "run_task", break_rules)
    monkeypatch.setattr(supervisor, "MOST_SECONDS", 1)
    monkeypatch.setattr(supervisor, "MOST_WAITING_SECONDS", 2)
    result = supervisor.fuzz_family("image", 8, processes=1, findings=tmp_path)
    assert (result.inputs, result.crashes, result.hangs, result.faults) == (8, 1, 1, 2)
    lines = [json.loads(line) for line in (tmp_path / "findings.jsonl").read_text().splitlines()]
    assert [(line["index"], line["fault"]) for line in lines] == [
        (2, "crash, exit status -11"),
        (5, "takes more than 1 s"),
    ]
    assert all(Path(line["replay"].split()[-1]).read_bytes() == bytes([line["index"]]) for line in lines)


def fail(error: Exception) -> None:
    raise error


FAULTS = {
    "traceback": (lambda: fail(KeyError("x")), "internal: "),
    "lines": (lambda: warnings.warn("one\ntwo", AnybindWarning, stacklevel=1), "a warning of several lines"),
    "foreign": (lambda: warnings.warn("odd", UserWarning, stacklevel=1), "a foreign warning: UserWarning: odd"),
    "flood": (lambda: [warnings.warn("odd", AnybindWarning, stacklevel=1) for _ in range(9)], "9 warnings"),
    "print": (lambda: print("damage"), "prints 'damage"),
    "memory": (lambda: np.ones(200 << 20, np.uint8).sum(), "took "),
    "allocation": (lambda: fail(MemoryError()), "out of memory: "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_broken_rule_is_a_fault(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = make_seeds("event-binary")[0]
    act, expected = FAULTS[name]
    reader = type(anybind.reader.find_reader(write(seed, tmp_path)).instance)
    monkeypatch.setattr(reader, "read", lambda self, path: act())
    assert (execute(tmp_path / f"seed{seed.suffix}", False, {}).fault or "").startswith(expected)


def test_a_run_prints_counts_and_writes_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--families", "event-text", "--inputs", "40", "--processes", "1", "--findings", str(tmp_path / "findings")]
    assert fuzz_readers.main([*given, "--output", str(tmp_path / "results.json")]) == 0
    (family,) = json.loads((tmp_path / "results.json").read_text())["families"]
    assert (family["inputs"], family["faults"], family["accepted"] + family["refused"]) == (40, 0, 40)
    assert capsys.readouterr().out.split()[-9:][:2] == ["event-text", "40"]


def test_a_given_file_is_mutated_instead_of_the_seeds(tmp_path: Path) -> None:
    path = write(make_seeds("event-text")[0], tmp_path)
    assert fuzz_readers.main([str(path), "--inputs", "20", "--findings", str(tmp_path / "findings")]) == 0
    assert fuzz_readers.main(["--replay", str(path)]) == 0


def test_bytes_of_unknown_structure_are_mutated() -> None:
    content = bytes(range(256)) * 4
    assert len({mutate_bytes(content, Random(seed)) for seed in range(20)}) > 15
