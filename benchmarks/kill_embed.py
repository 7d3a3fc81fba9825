"""Kill `anybind embed` and `anybind index` again and again, and count what is computed twice.

An encoder made on the spot notes every batch in a file before it is computed. Processes that share one store are
killed (SIGKILL) at moments spread from their first batch to their last one, and started again. A killed process may
cost one batch; the output must equal that of a run that nobody killed.
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

BATCH = 32
PLUGIN = """
import hashlib, os, time
import numpy as np
from anybind.plugin import BindingSpec, Encoder, EncoderSpec, Modality, ModalitySpec, Reader, ReaderSpec, hookimpl
from anybind import Binding, Space, unit
from anybind.binding import Use

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


class Slow(Encoder):
    modality, space, weights_hash, preprocessing = "letters", Space("own", 64), "0" * 12, {}

    def preprocess(self, sample):
        return hashlib.shake_128(sample).digest(64), sample[2:10].decode()

    def encode(self, inputs):
        line = " ".join(name for _, name in inputs)
        with open(os.environ["CALLS"], "a") as file:
            file.write(f"{os.getpid()} {line}\\n")
        time.sleep(float(os.environ["BATCH_SECONDS"]))
        return unit(np.stack([np.frombuffer(data, np.uint8) - 127.5 for data, _ in inputs]))


def make(argument):
    return Binding("slow", {"letters": Use("slow", {})})


@hookimpl
def register(registry):
    registry.add(ModalitySpec(name="letters", summary="s", target="slow_plugin:Letters"))
    registry.add(
        ReaderSpec(name="l", summary="s", target="slow_plugin:LettersReader", modality="letters", suffixes=(".let",))
    )
    registry.add(EncoderSpec(name="slow", summary="s", target="slow_plugin:Slow", modality="letters"))
    registry.add(BindingSpec(name="slow", summary="s", target="slow_plugin:make"))
"""


class World:
    """Folders of files, one a process, an encoder that notes its calls, and processes that share one store."""

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
        """Start the command once for each folder, in processes of their own."""
        line = [sys.executable, "-m", "anybind", self.command, "--binding", "slow", *options]
        return [
            subprocess.Popen([*line, str(data), "-o", str(output)], env=self.environment, stdout=subprocess.DEVNULL)
            for data, output in zip(self.data, outputs, strict=True)
        ]

    def batches(self) -> list[list[str]]:
        """The names of the files of each batch that any process began to compute."""
        with contextlib.suppress(FileNotFoundError):
            return [line.split()[1:] for line in self.calls.read_text().splitlines()]
        return []


def vectors(path: Path) -> np.ndarray:
    """All embeddings of a file that `embed` or `index` wrote, in order."""
    from safetensors.numpy import load_file

    tensors = load_file(path)
    (name,) = (name for name, values in tensors.items() if values.ndim == 2 and values.shape[1] == 64)
    return tensors[name]


def kill_runs(
    folder: Path, *, command: str, files: int, kills: int, processes: int, batch_seconds: float = 0.05
) -> dict[str, Any]:
    """Kill processes so many times at moments spread over their work, let them end, and compare.

    Args:
        folder: an empty folder to work in.
        command: `embed` or `index`.
        files: number of files.
        kills: number of moments at which all processes are killed.
        processes: how many embed a share of the files into one store at once.
        batch_seconds: seconds that the encoder takes for a batch.
    """
    world = World(folder, command, files, processes, batch_seconds)
    plain, outputs = ([folder / f"{name}{each}.safetensors" for each in range(processes)] for name in ("plain", "out"))
    if any(process.wait() for process in world.start(plain, "--no-store")):
        raise SystemExit(f"anybind {command} failed")
    world.calls.unlink()
    killed = 0
    for moment in range(kills):
        goal = round(files * (moment + 0.5) / kills)  # from the first commit to the last one
        running = world.start(outputs)
        while len({name for batch in world.batches() for name in batch}) < goal:
            if all(process.poll() is not None for process in running):
                break
            time.sleep(batch_seconds / 5)
        for process in running:
            process.kill()
        killed += sum(process.wait() == -signal.SIGKILL for process in running)
    codes = [process.wait() for process in world.start(outputs)]
    times = Counter(name for batch in world.batches() for name in batch)
    equal = all(np.array_equal(vectors(one), vectors(other)) for one, other in zip(plain, outputs, strict=True))
    return {
        "command": command,
        "files": files,
        "processes": processes,
        "kills": kills,
        "processes_killed": killed,
        "batch_size": BATCH,
        "files_encoded_twice": sum(times.values()) - len(times),
        "most_allowed": killed * BATCH,
        "outputs_equal": equal and codes == [0] * processes and len(times) == files,
    }


def main() -> None:
    """Run both commands with one process and with two, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/kill_embed.json"), help="JSON report")
    parser.add_argument("--files", type=int, default=2000, help="number of files [default: 2000]")
    parser.add_argument("--kills", type=int, default=20, help="number of kills [default: 20]")
    parser.add_argument("--quick", action="store_true", help="200 files and 4 kills")
    given = parser.parse_args()
    files, kills = (200, 4) if given.quick else (given.files, given.kills)
    rows = []
    for command in ("embed", "index"):
        for processes in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                rows.append(kill_runs(Path(folder), command=command, files=files, kills=kills, processes=processes))
            print(json.dumps(rows[-1]), flush=True)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(rows, indent=1) + "\n")
    fine = all(row["outputs_equal"] and row["files_encoded_twice"] <= row["most_allowed"] for row in rows)
    raise SystemExit(not fine)


if __name__ == "__main__":
    main()
