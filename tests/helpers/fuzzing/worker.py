"""A worker process: it makes and reads every n-th input of a family, and survives in its shared state if it crashes."""

from __future__ import annotations

import faulthandler
import json
import os
import re
import resource
import time
from collections import Counter
from collections.abc import Mapping, MutableSequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from helpers.fuzzing.execution import Outcome, execute
from helpers.fuzzing.mutation import mutate
from helpers.fuzzing.seeds import Seed, load_seed, make_seeds

ADDRESS_SPACE = 12 << 30
"""Bytes of address space of a worker: an allocation beyond fails, and is a fault."""
SAVED_PER_KIND = 3
"""Inputs that are saved per kind of fault."""
(INDEX, SINCE, CPU_SINCE, INPUTS, PAST, ACCEPTED, FAULTS, WORST_BYTES, WORST_SECONDS, SECONDS) = range(10)
"""Indices in the shared state: number of the present input, when it began (the clock's and the processor's seconds),
counts so far, and maxima."""
STATE_SIZE = 10
OTHER_SUFFIX = 0.02
"""Fraction of inputs with the suffix of another format of the family."""


@dataclass(frozen=True)
class Task:
    """The inputs of a worker: those of a family from `start` to before `stop`, every `step`-th.

    Attributes:
        family: the family; its seeds are made, unless files are given.
        seed: seed of all inputs.
        start, stop, step: numbers of the inputs.
        scratch: folder for the present input.
        findings: folder for inputs that break a rule.
        files: files to mutate instead of the family's own seeds.
        options: arguments of `anybind.read` for these files.
    """

    family: str
    seed: int
    start: int
    stop: int
    step: int
    scratch: Path
    findings: Path
    files: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


def list_seeds(task: Task) -> list[Seed]:
    """List the seeds of a task."""
    return [load_seed(path, task.options) for path in task.files] or make_seeds(task.family)


def make_input(seeds: list[Seed], family: str, seed: int, index: int) -> tuple[Seed, bytes]:
    """Make an input: the seed that it begins with, possibly with another suffix, and its content."""
    random = Random(f"{seed}:{family}:{index}")
    origin = seeds[index % len(seeds)]
    content = mutate(seeds, origin, random)
    if random.random() < OTHER_SUFFIX:
        origin = replace(origin, suffix=random.choice(seeds).suffix)
    return origin, content


def run_task(task: Task, state: MutableSequence[float]) -> None:
    """Read all inputs of a task, and count what happened in the shared state."""
    log = (task.scratch / "crash.log").open("w")
    faulthandler.enable(log)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries complain about damaged files there
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    seeds, kinds = list_seeds(task), Counter[str]()
    _warm_up(task, seeds)
    for index in range(task.start, task.stop, task.step):
        origin, content = make_input(seeds, task.family, task.seed, index)
        path = task.scratch / f"input{origin.suffix}"
        path.write_bytes(content)
        (task.scratch / "origin.json").write_text(json.dumps([origin.name, dict(origin.options)]))
        state[INDEX], state[SINCE], state[CPU_SINCE] = index, time.monotonic(), time.process_time()
        outcome = execute(path, index // len(seeds) % 3 == 2, origin.options)
        _count(state, outcome)
        if outcome.fault:
            kind = describe_kind(outcome.fault)
            kinds[kind] += 1
            if kinds[kind] <= SAVED_PER_KIND:
                save_finding(task, index, origin.name, path, outcome.fault, origin.options)
        path.unlink()
    state[SINCE] = 0


def _warm_up(task: Task, seeds: list[Seed]) -> None:
    """Read each seed once: so that imports and compilation do not count."""
    for seed in seeds:
        path = task.scratch / f"seed{seed.suffix}"
        path.write_bytes(seed.content)
        for chunks in (False, True):
            outcome = execute(path, chunks, seed.options)
            if outcome.fault or (not outcome.accepted and not task.files):
                save_finding(task, -1, seed.name, path, outcome.fault or "a seed is refused", seed.options)
        path.unlink()


def _count(state: MutableSequence[float], outcome: Outcome) -> None:
    state[INPUTS] += 1
    state[PAST] += outcome.past_header
    state[ACCEPTED] += outcome.accepted
    state[FAULTS] += outcome.fault is not None
    state[WORST_BYTES] = max(state[WORST_BYTES], outcome.grown_bytes)
    state[WORST_SECONDS] = max(state[WORST_SECONDS], outcome.seconds)
    state[SECONDS] += outcome.seconds


def describe_kind(fault: str) -> str:
    """Return a fault without what differs between inputs: paths and numbers."""
    return re.sub(r"/\S+|0x\w+|\d+|'[^']*'", "#", fault)[:160]


def save_finding(task: Task, index: int, name: str, path: Path, fault: str, options: Mapping[str, Any]) -> None:
    """Save an input that breaks a rule, and a line about it in `findings.jsonl`."""
    saved = task.findings / f"{task.family}-{task.seed}-{index}-{Path(name).stem}{path.suffix}"
    saved.write_bytes(path.read_bytes())
    given = "".join(
        f" --{key} {value}" if key == "reader" else f" --option {key}={value}" for key, value in options.items()
    )
    line = {
        "family": task.family,
        "index": index,
        "seed": name,
        "fault": fault,
        "replay": f"PYTHONPATH=tests python -m helpers.fuzz_readers --replay{given} {saved}",
    }
    with (task.findings / "findings.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
