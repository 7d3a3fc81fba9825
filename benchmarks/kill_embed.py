"""Kill `anybind embed` and `anybind index` repeatedly, and count repeated computations.

A test encoder logs every batch before computing it. Processes with a shared store are killed (SIGKILL) at times spread
over their work, and restarted. A killed process may cost one batch; the output must equal that of an uninterrupted run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from anybind.commandline import print_table

BATCH_SIZE = 32
PLUGIN = """
import hashlib, os, time
import numpy as np
from anybind.plugin import BindingSpec, Encoder, EncoderSpec, Modality, ModalitySpec, Reader, ReaderSpec, hookimpl
from anybind import Binding, Space, normalize

anybind_contract = 1


class Letters(Modality):
    name = "letters"

    def accepts(self, item):
        return isinstance(item, bytes)

    def check(self, sample): ...

    def show(self, sample):
        return "letters"


class LettersReader(Reader):
    def sniff(self, head):
        return head.startswith(b"L:")

    def read(self, path):
        return path.read_bytes()


class SlowEncoder(Encoder):
    modality, space, weights_hash, preprocessing = "letters", Space("own", 64), "0" * 12, {}

    def preprocess(self, sample):
        return hashlib.shake_128(sample).digest(64), sample[2:10].decode()

    def encode(self, inputs):
        line = " ".join(name for _, name in inputs)
        with open(os.environ["CALLS"], "a") as file:
            file.write(f"{os.getpid()} {line}\\n")
        time.sleep(float(os.environ["BATCH_SECONDS"]))
        return normalize(np.stack([np.frombuffer(data, np.uint8) - 127.5 for data, _ in inputs]))


def make_binding(argument):
    return Binding("slow", {"letters": Binding.configure("slow")})


@hookimpl
def register(registry):
    registry.add(ModalitySpec(name="letters", summary="s", target="slow_plugin:Letters"))
    registry.add(
        ReaderSpec(name="l", summary="s", target="slow_plugin:LettersReader", modality="letters", suffixes=(".let",))
    )
    registry.add(EncoderSpec(name="slow", summary="s", target="slow_plugin:SlowEncoder", modality="letters"))
    registry.add(BindingSpec(name="slow", summary="s", target="slow_plugin:make_binding"))
"""


class KillWorkspace:
    """Folders of files, one a process, an encoder that logs its batches, and processes with a shared store."""

    def __init__(self, folder: Path, command: str, files: int, processes: int, batch_seconds: float) -> None:
        self.command, self.calls = command, folder / "calls.txt"
        self.data = [folder / f"data{number}" for number in range(processes)]
        site = folder / "site"
        info = site / "slow_plugin-1.0.dist-info"
        for each in (*self.data, info):
            each.mkdir(parents=True)
        for number in range(files):
            (self.data[number % processes] / f"{number:06}.let").write_bytes(f"L:{number:08}".encode())
        (site / "slow_plugin.py").write_text(PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[anybind]\nslow = slow_plugin\n")
        self.environment = {
            **os.environ,
            "ANYBIND_PLUGINS": "slow" + (",retrieval" if command == "index" else ""),
            "ANYBIND_STORE": str(folder / "store"),
            "BATCH_SECONDS": str(batch_seconds),
            "CALLS": str(self.calls),
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(site),
        }

    def start(self, outputs: list[Path], *options: str) -> list[subprocess.Popen[bytes]]:
        """Start one process per folder."""
        line = [sys.executable, "-m", "anybind", self.command, "--binding", "slow", *options]
        return [
            subprocess.Popen([*line, str(data), "-o", str(output)], env=self.environment, stdout=subprocess.DEVNULL)
            for data, output in zip(self.data, outputs, strict=True)
        ]

    def read_batches(self) -> list[list[str]]:
        """Read the file names of each batch that a process has started to compute."""
        with contextlib.suppress(FileNotFoundError):
            return [line.split()[1:] for line in self.calls.read_text().splitlines()]
        return []


def load_embeddings(path: Path) -> np.ndarray:
    """Load the embeddings of an output of `embed` or `index`, in order."""
    from safetensors.numpy import load_file

    tensors = load_file(path)
    (name,) = (name for name, values in tensors.items() if values.ndim == 2 and values.shape[1] == 64)
    return tensors[name]


def kill_runs(
    folder: Path, *, command: str, files: int, kills: int, processes: int, batch_seconds: float = 0.05
) -> dict[str, Any]:
    """Kill processes repeatedly at times spread over their work, let them finish, and compare the outputs.

    Args:
        folder: empty working folder.
        command: `embed` or `index`.
        files: number of files.
        kills: number of times at which all processes are killed.
        processes: number of processes that embed a subset of the files each, with one store.
        batch_seconds: duration of a batch in seconds.
    """
    workspace = KillWorkspace(folder, command, files, processes, batch_seconds)
    expected, outputs = (
        [folder / f"{name}{each}.safetensors" for each in range(processes)] for name in ("expected", "out")
    )
    if any(process.wait() for process in workspace.start(expected, "--no-store")):
        raise SystemExit(f"anybind {command} failed")
    workspace.calls.unlink()
    n_killed = 0
    for number in range(kills):
        goal = round(files * (number + 0.5) / kills)  # from the first commit to the last one
        running = workspace.start(outputs)
        while len({name for batch in workspace.read_batches() for name in batch}) < goal:
            if all(process.poll() is not None for process in running):
                break
            time.sleep(batch_seconds / 5)
        for process in running:
            process.kill()
        n_killed += sum(process.wait() == -signal.SIGKILL for process in running)
    codes = [process.wait() for process in workspace.start(outputs)]
    times = Counter(name for batch in workspace.read_batches() for name in batch)
    equal = all(
        np.array_equal(load_embeddings(one), load_embeddings(other))
        for one, other in zip(expected, outputs, strict=True)
    )
    return {
        "command": command,
        "files": files,
        "processes": processes,
        "kills": kills,
        "processes_killed": n_killed,
        "batch_size": BATCH_SIZE,
        "files_encoded_twice": sum(times.values()) - len(times),
        "most_allowed": n_killed * BATCH_SIZE,
        "outputs_equal": equal and codes == [0] * processes and len(times) == files,
    }


def main() -> None:
    """Run both commands with one process and with two; print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON report [default: none]")
    parser.add_argument("--files", type=int, default=2000, help="number of files [default: 2000]")
    parser.add_argument("--kills", type=int, default=20, help="number of kills [default: 20]")
    parser.add_argument("--quick", action="store_true", help="200 files and 4 kills")
    arguments = parser.parse_args()
    files, kills = (200, 4) if arguments.quick else (arguments.files, arguments.kills)
    rows = []
    for command in ("embed", "index"):
        for processes in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(kill_runs(Path(folder), command=command, files=files, kills=kills, processes=processes))
    columns = ("command", "files", "processes", "kills", "files encoded twice", "limit", "outputs equal")
    keys = ("command", "files", "processes", "processes_killed", "files_encoded_twice", "most_allowed", "outputs_equal")
    print_table(columns, [tuple(str(row[key]) for key in keys) for row in rows])
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(rows, indent=1) + "\n")
    passed = all(row["outputs_equal"] and row["files_encoded_twice"] <= row["most_allowed"] for row in rows)
    raise SystemExit(not passed)


if __name__ == "__main__":
    main()
