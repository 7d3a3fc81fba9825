"""Measure the rate of log mel energies against torchaudio.

    python benchmarks/sound_rate.py [--quick] [--output FILE]                               (make bench-sound)

Both compute the same clips of 2 s at 16 kHz with 128 bands, alternating in one process; times are medians. Ours
processes a batch of clips at once, torchaudio one clip at a time, since it has no batches. ImageBind's audio encoder
has batches of 3. Measured with one thread of torch, and with its default number. A block of the size of a small encoder
is allocated and freed first, since the C library then keeps freed memory, as in any process that has loaded a model.
Ratios are comparable between machines, rates are not.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchaudio.compliance import kaldi

from anybind.commandline import print_table
from anybind.plugin import Representation
from anybind.registry import create_part
from anybind_media.sound import Waveform

RESULTS = Path(__file__).parent / "results" / "sound.json"
RATE, SECONDS, MELS = 16_000, 2, 128
BATCHES = (1, 3, 32)
ROUNDS, QUICK_ROUNDS = 101, 15
TARGET = 2.5
"""Minimum ratio to torchaudio's rate, in batches of 3 and more."""
TOLERANCE = 1e-5
MODEL_BYTES = 30 << 20
COLUMNS = ("batch", "threads", "ms/clip", "clips/s", "torchaudio", "ratio", "max diff")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds; write only with --output")
    parser.add_argument(
        "--output", type=Path, help="JSON file to write, a table .md beside it (default: benchmarks/results/sound.json)"
    )
    arguments = parser.parse_args()
    rounds = QUICK_ROUNDS if arguments.quick else ROUNDS
    torch.empty(MODEL_BYTES, dtype=torch.uint8)
    default_threads = torch.get_num_threads()
    rows = []
    for threads in sorted({1, default_threads}):
        torch.set_num_threads(threads)
        rows += [measure_batch(batch, threads, rounds) for batch in BATCHES]
    torch.set_num_threads(default_threads)
    print_table(COLUMNS, [format_cells(row) for row in rows])
    missed = [f"batches of {row['batch']}, {row['threads']} threads" for row in rows if not row["reached"]]
    print("targets missed: " + ("; ".join(missed) or "none"))
    output = arguments.output or (None if arguments.quick else RESULTS)
    if output:
        write_results(output, rows, missed, rounds)


def measure_batch(batch: int, threads: int, rounds: int) -> dict[str, Any]:
    """Measure a batch of clips, half noise and half tones."""
    fbank: Representation = create_part("representation", "kaldi-fbank", mels=MELS, rate=RATE)
    clips = [make_clip(number) for number in range(batch)]
    tensors = [torch.from_numpy(clip.samples) for clip in clips]
    calls: tuple[Callable[[], Any], ...] = (
        lambda: fbank.batch(clips),
        lambda: [compute_with_torchaudio(tensor) for tensor in tensors],
    )
    expected = np.stack([each.T.numpy() for each in calls[1]()])
    difference = float(np.abs(calls[0]()[:, 0] - expected).max())
    if difference > TOLERANCE:
        raise SystemExit(f"expected torchaudio's values within {TOLERANCE:.0e}, got a difference of {difference:.1e}")
    times: tuple[list[float], ...] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            calls[side]()
            times[side].append((time.perf_counter() - start) / batch)
    seconds, torchaudio = (statistics.median(each) for each in times)
    return {
        "batch": batch,
        "threads": threads,
        "rounds": rounds,
        "seconds_a_clip": seconds,
        "clips_per_second": 1 / seconds,
        "torchaudio_seconds_a_clip": torchaudio,
        "ratio": torchaudio / seconds,
        "target_ratio": TARGET if batch > 1 else None,
        "largest_difference": difference,
        "reached": batch == 1 or torchaudio / seconds >= TARGET,
    }


def make_clip(number: int) -> Waveform:
    """Make 2 s of noise, or of a tone with a little noise."""
    random = np.random.default_rng(number)
    samples = random.uniform(-0.5, 0.5, SECONDS * RATE)
    if number % 2:
        samples = 0.01 * samples + 0.5 * np.sin(np.arange(len(samples)) * random.uniform(0.05, 2))
    return Waveform(samples, RATE)


def compute_with_torchaudio(samples: torch.Tensor) -> torch.Tensor:
    """Compute the log mel energies of (1, n) samples: (frames, bands)."""
    return kaldi.fbank(
        samples,
        htk_compat=True,
        sample_frequency=RATE,
        use_energy=False,
        window_type="hanning",
        num_mel_bins=MELS,
        dither=0.0,
        frame_length=25,
        frame_shift=10,
    )


def format_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format a row of the table."""
    return (
        str(row["batch"]),
        str(row["threads"]),
        f"{row['seconds_a_clip'] * 1e3:.3f}",
        f"{row['clips_per_second']:.0f}",
        f"{row['torchaudio_seconds_a_clip'] * 1e3:.3f}",
        f"{row['ratio']:.2f}",
        f"{row['largest_difference']:.1e}",
    )


def write_results(output: Path, rows: Sequence[Mapping[str, Any]], missed: Sequence[str], rounds: int) -> None:
    """Write the results as JSON, and as a table beside it."""
    packages = {name: version(name) for name in ("numpy", "torch", "torchaudio")}
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": rounds, "packages": packages}
    output.write_text(json.dumps({**machine, "rows": list(rows)}, indent=1) + "\n")
    versions = ", ".join(f"{name} {number}" for name, number in packages.items())
    lines = [
        "# Log mel energies: rates",
        "",
        *(__doc__ or "").rpartition("\n\n")[2].strip().splitlines(),
        "",
        f"Python {machine['python']}, {machine['cpus']} processors, {versions}; medians of {rounds} rounds."
        " `torchaudio`: its ms per clip; `ratio`: its time over ours; `max diff`: largest difference of the values.",
        "",
        f"Targets missed ({TARGET} times torchaudio's rate in batches): {'; '.join(missed) or 'none'}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---:|" * len(COLUMNS),
        *("| " + " | ".join(format_cells(row)) + " |" for row in rows),
    ]
    output.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
