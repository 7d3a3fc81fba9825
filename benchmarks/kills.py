"""Kill commands by SIGKILL, most of them inside a write, restart them, and check that nothing is lost or half written.

    python benchmarks/kills.py [--quick] [--kills N] [--only COMMAND] [--output FILE]                       (make kills)

A killed process reports the point to a file: it has just made a temporary file, is writing it, is about to rename it,
or is inside a transaction of the store. Other kills are at random moments. After each kill the outputs must be whole,
the old or the new ones; the restarted command must end with the bytes of an undisturbed run, compute no more than the
batch that was lost, and leave no temporary file.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import kill_data
from kill_points import KillPoints
from safetensors.numpy import load_file

from anybind.cli import main as main_of_anybind
from anybind.commandline import print_table
from anybind.plugin import files

INSIDE = ("made", "writing", "renaming", "store")
"""Points of a kill inside a write; the others are `renamed` and `random`."""
BATCH = 8
TIMEOUT_SECONDS = 600
MAX_ATTEMPTS = 8
"""Attempts per kill: a command may end before its kill."""


@dataclass
class Case:
    """A command to kill.

    Attributes:
        arguments: arguments of `anybind`; `{work}` is the folder of outputs.
        outputs: files of which the bytes are compared, in the folder of outputs.
        check: raises an exception if an output in the folder is not whole.
        resume: added to the arguments if this file is in the folder of outputs.
        has_stages: outputs are written several times, and are whole but not final in between.
        lost: number of encoded samples that a kill may cost.
        store_points: kill inside transactions of the embedding store instead of writes of files.
    """

    arguments: Sequence[str]
    outputs: Sequence[str]
    check: Callable[[Path], None] = lambda folder: None
    resume: tuple[str, str] | None = None
    has_stages: bool = False
    lost: int = BATCH
    store_points: bool = False


@dataclass
class Counts:
    """Counts of one command.

    Attributes:
        kills: kills by point.
        problems: outputs that were not whole or differed at the end, leftovers, and too many computations.
        needed, encoded: samples encoded by undisturbed runs, and by the killed and restarted ones.
        ends: restarted runs that ended, with outputs equal to those of an undisturbed run.
    """

    kills: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    needed: int = 0
    encoded: int = 0
    ends: int = 0

    @property
    def inside(self) -> int:
        """Number of kills inside a write."""
        return sum(self.kills[point] for point in INSIDE)


class Workspace:
    """Folders of one command: data, outputs with their store, and those of an undisturbed run."""

    def __init__(self, folder: Path, name: str, case: Case, data: Path, seed: int) -> None:
        self.name, self.case, self.data = name, case, data
        self.random = random.Random(f"{seed} {name}")
        self.work, self.expected = folder / "work", folder / "expected"
        self.log, self.errors = folder / "log", folder / "errors"
        folder.mkdir()
        self.counts, self.needed, self.seconds, self.n_points = Counts(), 0, 0.0, 0
        self.encoded = self.killed = 0

    def run(self, point: int = 0, delay: float = 0.0, timeout: float = TIMEOUT_SECONDS) -> int:
        """Run the command in a fork of this process, and return its exit code.

        A fork has imported everything already, which makes a hundred restarts cheap; it is killed as any process.

        Args:
            point: point at which the process kills itself; 0 for none.
            delay: seconds from that point to the kill.
            timeout: seconds until it is killed from here.
        """
        process = os.fork()
        if not process:
            os._exit(self._run_here(point, delay))
        deadline = time.monotonic() + timeout
        while not (ended := os.waitpid(process, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
                ended = os.waitpid(process, 0)
                break
            time.sleep(0.002)
        return os.waitstatus_to_exitcode(ended[1])

    def _run_here(self, point: int, delay: float) -> int:
        arguments = [each.format(work=self.work, data=self.data) for each in self.case.arguments]
        if self.case.resume and (self.work / self.case.resume[0]).exists():
            arguments.append(self.case.resume[1])
        points = KillPoints(self.log, point, delay, self.case.store_points)
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(self.errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), 2)
            os.chdir(self.data)
            os.environ |= {"ANYBIND_STORE": str(self.work / "store"), "XDG_CACHE_HOME": str(self.work / "cache")}
            points.install()
            sys.argv = ["anybind", *arguments]
            main_of_anybind()
        except SystemExit as error:
            if not point:
                points.write_line("\n".join(f"module {name}" for name in sys.modules))
            return error.code if isinstance(error.code, int) else 0
        except BaseException:
            traceback.print_exc()
        return 1

    def read_log(self) -> Counter[str]:
        """Read and remove the log of the last process: counts of its lines, and of encoded samples."""
        counts: Counter[str] = Counter()
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            word, _, rest = line.partition(" ")
            if word == "module":
                if rest not in sys.modules:
                    with contextlib.suppress(Exception):  # of optional parts
                        importlib.import_module(rest)
            else:
                counts[word] += int(rest or 1)
        self.log.unlink(missing_ok=True)
        self.encoded += counts["encoded"]
        return counts

    def run_undisturbed(self) -> None:
        """Run the command to its end for the expected outputs, the number of points and its duration."""
        for _ in range(2):  # the first run imports modules
            self.reset()
            start = time.monotonic()
            self._check_code(self.run())
            self.seconds = time.monotonic() - start
            self.n_points = self.read_log()["point"]
        self.needed = self.encoded
        shutil.copytree(self.work, self.expected)

    def reset(self) -> None:
        """Start over with what the command finds: nothing, or an old output."""
        shutil.rmtree(self.work, ignore_errors=True)
        old = self.data / "old" / self.name
        shutil.copytree(old, self.work) if old.is_dir() else self.work.mkdir()
        self.encoded = self.killed = 0

    def finish(self) -> None:
        """Run the command to its end, compare, and start over."""
        self._check_code(self.run())
        self.read_log()
        self.compare()
        self.reset()

    def _check_code(self, code: int) -> None:
        if code:
            self.counts.problems.append(f"exit code {code}: {self.errors.read_text()[-300:].strip()}")

    def compare(self) -> None:
        """Compare the outputs of a restarted run with those of the undisturbed one, and look for leftovers."""
        counts, problems = self.counts, self.counts.problems
        counts.ends += 1
        counts.needed, counts.encoded = counts.needed + self.needed, counts.encoded + self.encoded
        if not self.needed <= self.encoded <= self.needed + self.killed * self.case.lost:
            problems.append(f"{self.encoded} samples encoded after {self.killed} kills, expected {self.needed}")
        for name in self.case.outputs:
            if not (self.work / name).exists():
                problems.append(f"{name} is missing at the end")
            elif (self.work / name).read_bytes() != (self.expected / name).read_bytes():
                problems.append(f"{name} differs at the end")
        left = [str(path.relative_to(self.work)) for path in self.work.rglob("*") if path.name.startswith(".anybind-")]
        problems += [f"leftover {name}" for name in left]

    def check_outputs(self, old: dict[str, bytes]) -> None:
        """Check that each output is the old or the new one, and that the store is whole, after a kill."""
        for name in self.case.outputs:
            path = self.work / name
            content = path.read_bytes() if path.exists() else b""
            if content not in (old[name], (self.expected / name).read_bytes()) and not self.case.has_stages:
                self.counts.problems.append(f"{name} is neither the old nor the new one after a kill")
        try:
            self.case.check(self.work)
            if (store := self.work / "store" / "embeddings.sqlite").exists():
                state = sqlite3.connect(store).execute("PRAGMA integrity_check").fetchone()[0]
                assert state == "ok", state
        except Exception as error:  # of any reader
            self.counts.problems.append(f"not whole after a kill: {type(error).__name__}: {error}"[:200])

    def kill(self, inside: bool) -> bool:
        """Start the command and kill it once; return False if it ended before."""
        old = {
            name: (self.work / name).read_bytes() if (self.work / name).exists() else b"" for name in self.case.outputs
        }
        if inside:
            delay = self.random.choice((0.0, self.random.uniform(0.0, 0.03)))
            code = self.run(self.random.randint(1, max(1, self.n_points)), delay)
        else:
            code = self.run(timeout=self.random.uniform(0.0, 1.0) * self.seconds)
        log = self.read_log()
        if code != -signal.SIGKILL:
            self._check_code(code)
            self.compare()
            self.reset()
            return False
        self.killed += 1
        points = [point for point in (*INSIDE, "renamed") if log[point]]
        self.counts.kills[points[0] if points else "random"] += 1
        self.check_outputs(old)
        return True


def check_index(folder: Path) -> None:
    """Read all rows of an index."""
    from anybind_retrieval.file_index import FileIndex

    index = FileIndex(folder / "out.safetensors")
    assert len(index.get_vectors("image")) == index.count_entries("image") > 0


def check_run(folder: Path) -> None:
    """Read all weights and states of a training run."""
    for path in folder.glob("run/*.safetensors"):
        load_file(path)


def check_results(folder: Path) -> None:
    """Parse all results of a suite."""
    for path in [*folder.glob("results/*.json"), *folder.glob("results/cells/*.json")]:
        json.loads(path.read_text())


def list_cases() -> dict[str, Case]:
    """Return the commands."""
    embed = ("embed", "images", "--batch-size", str(BATCH), "-o", "{work}/out.safetensors")
    suite = ("bench", "run", "suite.toml", "--limit", "20", "-o", "{work}/results")
    weights = [f"run/{name}.safetensors" for name in ("last", "best", "state")]
    return {
        "embed": Case(embed, ["out.safetensors"]),
        "store": Case(embed, ["out.safetensors"], store_points=True),
        "index": Case(
            ("index", "images", "--batch-size", str(BATCH), "-o", "{work}/out.safetensors"),
            ["out.safetensors"],
            check_index,
        ),
        "search": Case(("search", "a red square", "--in", "images", "-o", "{work}/page.html"), ["page.html"], lost=32),
        "convert": Case(("convert", "events.npz", "{work}/out.h5"), ["out.h5"]),
        "simulate": Case(("simulate", "clip.mp4", "-o", "{work}/out.h5"), ["out.h5"]),
        "vad": Case(("vad", "clip.mp4", "--head", "zero-shot", "-o", "{work}/page.html"), ["page.html"], lost=32),
        "bench": Case(suite, ["results/results.json"], check_results, has_stages=True, lost=32),
        "train": Case(
            ("train", "recipe.toml", "--data", ".", "-o", "{work}/run"),
            weights,
            check_run,
            ("run/state.safetensors", "--resume"),
            has_stages=True,
            lost=64,
        ),
    }


def kill_command(name: str, case: Case, data: Path, folder: Path, kills: int, seed: int) -> Counts:
    """Kill one command until enough kills were inside a write, with a few at random moments; then let it end."""
    workspace = Workspace(folder, name, case, data, seed)
    workspace.run_undisturbed()
    workspace.reset()
    if workspace.counts.problems:
        return workspace.counts
    counts, n_random = workspace.counts, max(1, kills // 6)
    for _ in range(MAX_ATTEMPTS * kills):
        if counts.inside >= kills - n_random and counts.kills.total() >= kills:
            break
        workspace.kill(inside=counts.inside < kills - n_random)
        if workspace.killed == 4:  # ends are compared in between, too
            workspace.finish()
    workspace.finish()
    return counts


def run_forked(function: Callable[[], None]) -> None:
    """Run a function in a fork of this process, which then has nothing of it in memory."""
    process = os.fork()
    if not process:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        raise SystemExit("the data could not be written")


def main() -> None:
    """Kill all commands; print and write the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12, help="kills per command, at least [default: 12]")
    parser.add_argument("--only", action="append", choices=list(list_cases()), help="command; repeatable")
    parser.add_argument("--seed", type=int, default=0, help="random seed [default: 0]")
    parser.add_argument("--quick", action="store_true", help="2 kills per command, without train")
    parser.add_argument("--output", type=Path, help="JSON report [default: none]")
    options = parser.parse_args()
    cases = list_cases()
    names = options.only or [name for name in cases if not (options.quick and name == "train")]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data")
        run_forked(lambda: kill_data.write_data(data, model="train" in names))
        for name in names:
            place = Path(folder, name)
            counts = kill_command(name, cases[name], data, place, 2 if options.quick else options.kills, options.seed)
            rows.append({"command": name, "kills": counts.kills.total(), "inside_a_write": counts.inside})
            rows[-1] |= {"by_point": dict(counts.kills), "ends": counts.ends, "needed": counts.needed}
            rows[-1] |= {"encoded": counts.encoded, "problems": counts.problems}
            print(f"{name}: {rows[-1]}", file=sys.stderr, flush=True)
    columns = ("command", "kills", "inside a write", "ends compared", "encoded", "needed", "problems")
    keys = ("command", "kills", "inside_a_write", "ends", "encoded", "needed", "problems")
    print_table(columns, [tuple(str(len(row[key]) if key == "problems" else row[key]) for key in keys) for row in rows])
    print(f"{sum(row['kills'] for row in rows)} kills, {sum(row['inside_a_write'] for row in rows)} inside a write")
    if options.output:
        with files.atomic_path(options.output) as path:
            path.write_text(json.dumps(rows, indent=1) + "\n")
    raise SystemExit(any(row["problems"] for row in rows))


if __name__ == "__main__":
    main()
