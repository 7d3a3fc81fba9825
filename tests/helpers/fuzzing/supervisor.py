"""Supervision of workers: it restarts a worker after a crash or a hang, and saves the input of it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers.fuzzing.worker import (
    ACCEPTED,
    CPU_SINCE,
    FAULTS,
    INDEX,
    INPUTS,
    PAST,
    SECONDS,
    SINCE,
    STATE_SIZE,
    WORST_BYTES,
    WORST_SECONDS,
    Task,
    describe_kind,
    run_task,
    save_finding,
)

MOST_SECONDS, MOST_WAITING_SECONDS = 20, 300
"""A read that takes longer hangs: on the processor, and by the clock, as other programs may take the processor."""
POLL_SECONDS = 0.2
MEMORY_FOLDER = Path("/dev/shm")
"""Folder for inputs, so that they are not written to a disk."""


@dataclass(frozen=True)
class FamilyResult:
    """The counts of a family.

    Attributes:
        family: the family.
        inputs: inputs read; `past_header` of them are claimed by a reader, `accepted` were read to the end, and
            `refused` raised one error of one line.
        faults: inputs that broke a rule, `crashes` and `hangs` among them.
        seconds: duration of all workers together, without starting them.
        worst_mib, worst_seconds: largest growth of memory, and longest duration, of one input.
        kinds: kinds of the saved faults, with an example each.
    """

    family: str
    inputs: int
    past_header: int
    accepted: int
    refused: int
    faults: int
    crashes: int
    hangs: int
    seconds: float
    worst_mib: float
    worst_seconds: float
    kinds: Mapping[str, str]


def fuzz_family(
    family: str,
    inputs: int,
    *,
    seed: int = 0,
    processes: int = 2,
    findings: Path,
    files: Sequence[Path] = (),
    options: Mapping[str, Any] | None = None,
) -> FamilyResult:
    """Read mutated inputs of a family in worker processes.

    Args:
        family: the family.
        inputs: number of inputs.
        seed: seed of all inputs.
        processes: number of workers, each of which reads every n-th input.
        findings: folder for inputs that break a rule.
        files: files to mutate instead of the family's own seeds.
        options: arguments of `anybind.read` for these files.
    """
    findings.mkdir(parents=True, exist_ok=True)
    memory = MEMORY_FOLDER if MEMORY_FOLDER.is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="anybind-fuzz-") as scratch:
        workers = []
        for number in range(processes):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            task = Task(family, seed, number, inputs, processes, folder, findings, tuple(files), options or {})
            workers.append(_Worker(task))
        while any(worker.poll() for worker in workers):
            time.sleep(POLL_SECONDS)
    totals = [sum(worker.state[place] for worker in workers) for place in range(STATE_SIZE)]
    crashes, hangs = (sum(worker.ends[kind] for worker in workers) for kind in ("crash", "hang"))
    return FamilyResult(
        family=family,
        inputs=int(totals[INPUTS]) + crashes + hangs,
        past_header=int(totals[PAST]) + crashes + hangs,
        accepted=int(totals[ACCEPTED]),
        refused=int(totals[INPUTS] - totals[ACCEPTED]),
        faults=int(totals[FAULTS]) + crashes + hangs,
        crashes=crashes,
        hangs=hangs,
        seconds=round(totals[SECONDS], 1),
        worst_mib=round(max(worker.state[WORST_BYTES] for worker in workers) / (1 << 20), 1),
        worst_seconds=round(max(worker.state[WORST_SECONDS] for worker in workers), 2),
        kinds=_list_kinds(findings, family),
    )


class _Worker:
    """A worker process, started again after the input at which it ended."""

    def __init__(self, task: Task) -> None:
        self.task = task
        context = multiprocessing.get_context("spawn")  # threads of libraries do not survive a fork
        self.state = context.RawArray("d", STATE_SIZE)
        self.ends = Counter[str]()
        self._context = context
        self._start(task)

    def _start(self, task: Task) -> None:
        self.state[INDEX], self.state[SINCE] = -1, 0
        self.process = self._context.Process(target=run_task, args=(task, self.state), daemon=True)
        self.process.start()

    def poll(self) -> bool:
        """Look after the process; return False once it has read its last input."""
        hangs = self._hangs()
        if self.process.is_alive() and not hangs:
            return True
        if hangs:
            self.process.kill()
        self.process.join()
        index = int(self.state[INDEX])
        if not hangs and self.process.exitcode == 0:
            return False
        if index < 0:
            raise RuntimeError(f"{self.task.family}: a worker cannot start, exit status {self.process.exitcode}")
        self.ends["hang" if hangs else "crash"] += 1
        fault = f"takes more than {MOST_SECONDS} s" if hangs else f"crash, exit status {self.process.exitcode}"
        self._save(index, fault)
        if index + self.task.step >= self.task.stop:
            return False
        self._start(replace(self.task, start=index + self.task.step))
        return True

    def _hangs(self) -> bool:
        since = self.state[SINCE]
        if not since or time.monotonic() - since < MOST_SECONDS:
            return False
        if time.monotonic() - since > MOST_WAITING_SECONDS:
            return True
        try:
            status = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended, or a system without this folder
            return False
        used = (int(status[11]) + int(status[12])) / os.sysconf("SC_CLK_TCK")
        return used - self.state[CPU_SINCE] > MOST_SECONDS

    def _save(self, index: int, fault: str) -> None:
        folder = self.task.scratch
        log = " ".join(line.strip() for line in (folder / "crash.log").read_text(errors="replace").splitlines()[2:6])
        name, options = json.loads((folder / "origin.json").read_text())
        for path in folder.glob("input.*"):
            save_finding(self.task, index, name, path, f"{fault} {log}".strip(), options)
            path.unlink()


def _list_kinds(findings: Path, family: str) -> dict[str, str]:
    """Return the kinds of a family's faults, each with the line that replays an example."""
    path, kinds = findings / "findings.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else ():
        finding = json.loads(line)
        if finding["family"] == family:
            kinds.setdefault(f"{finding['seed']}: {describe_kind(finding['fault'])}", finding["replay"])
    return kinds


def clear_findings(folder: Path) -> None:
    """Remove the findings of an earlier run."""
    if (folder / "findings.jsonl").exists():
        shutil.rmtree(folder)
