"""Measure the processor time of whole commands, from the start of the interpreter to its end.

    python benchmarks/startup.py [--quick] [--output FILE]                                  (make bench-startup)

Each command runs in a new process with one thread, without the embedding store; the floor is a process that imports
NumPy and ONNX Runtime. Commands and floor alternate. Ratios are comparable between machines, seconds are not. `make`
runs it in the small environment of the demo, since packages that are installed beside it take time too.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

import anybind
from anybind.commandline import print_table
from anybind_classification.demo_images import RECORDING, list_demo_images

RESULTS = Path(__file__).parent / "results" / "startup.json"
ROUNDS, QUICK_ROUNDS = 9, 1
EVENTS = 1_000_000
FLOOR = "import numpy, onnxruntime"
LABELS = "a face,a cat,a motorcycle"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round; write only with --output")
    parser.add_argument("--output", type=Path, help="JSON file to write (default: benchmarks/results/startup.json)")
    arguments = parser.parse_args()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(list_commands(Path(folder)), rounds, Path(folder))
    floor = statistics.median(seconds.pop("floor"))
    rows = [
        {"command": name, "seconds": statistics.median(times), "ratio": statistics.median(times) / floor}
        for name, times in seconds.items()
    ]
    print_table(
        ("command", "CPU seconds", "times the floor"),
        [(row["command"], f"{row['seconds']:.2f}", f"{row['ratio']:.1f}") for row in rows],
        title=f"floor: {floor:.2f} CPU seconds",
    )
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        packages = {name: version(name) for name in ("numpy", "onnxruntime", "typer")}
        packages["torch"] = version("torch") if importlib.util.find_spec("torch") else "not installed"
        machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": rounds, "packages": packages}
        output.write_text(json.dumps({**machine, "floor": floor, "rows": rows}, indent=1) + "\n")


def list_commands(folder: Path) -> dict[str, list[str | Path]]:
    """Return the arguments of each command, after writing its files."""
    images = list(list_demo_images())
    million = write_dense_recording(folder / "million.npz")
    index = folder / "index.safetensors"
    run_command(["anybind", "index", *map(str, images), "-o", str(index), "--no-store"], folder)
    run_command(["anybind", "simulate", str(images[0]), "-o", str(folder / "warm.npz")], folder)  # fills numba's cache
    chelsea = next(path for path in images if path.stem == "chelsea")
    labels = ["--labels", LABELS, "--no-store"]
    return {
        "--help": ["--help"],
        "info RECORDING": ["info", RECORDING],
        "info RECORDING (1 million events)": ["info", million],
        "render RECORDING": ["render", RECORDING, "-o", folder / "a.png"],
        "classify RECORDING": ["classify", RECORDING, *labels],
        "classify RECORDING (1 million events)": ["classify", million, *labels],
        "classify IMAGE": ["classify", chelsea, *labels],
        "embed IMAGE": ["embed", chelsea, "-o", folder / "a.safetensors", "--no-store"],
        "search TEXT in an index of 10 images": ["search", "a cat", "--in", index, "--no-store"],
        "simulate IMAGE": ["simulate", chelsea, "-o", folder / "b.npz"],
    }


def write_dense_recording(path: Path) -> Path:
    """Write the demo's recording with each event repeated within a millisecond, a million in all."""
    stream, random = anybind.read(RECORDING), np.random.default_rng(0)
    events = np.sort(random.integers(0, len(stream), EVENTS))
    t = stream.t[events] + random.integers(0, 1000, EVENTS)
    order = np.argsort(t, kind="stable")
    x, y, p = (column[events][order] for column in (stream.x, stream.y, stream.p))
    columns = {"x": x, "y": y, "t": t[order], "p": p, "width": stream.width, "height": stream.height}
    np.savez(path, **columns)
    return path


def measure(commands: dict[str, list[str | Path]], rounds: int, folder: Path) -> dict[str, list[float]]:
    """Measure the processor seconds of the floor and of each command, alternating, after one unmeasured round."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, arguments in {"floor": [], **commands}.items():
            program = [sys.executable, "-c", FLOOR] if name == "floor" else ["anybind", *map(str, arguments)]
            spent = run_command(program, folder)
            if number:
                seconds.setdefault(name, []).append(spent)
    return seconds


def run_command(command: list[str], folder: Path) -> float:
    """Run a program of this environment, and return its processor seconds, user and system."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ANYBIND_STORE": str(folder / "store")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # with it, an editable installation is compiled in each process
    program = str(Path(sys.executable).with_name(command[0])) if command[0] == "anybind" else command[0]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run([program, *command[1:]], env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        sys.exit(f"{' '.join(command)}: {ended.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
