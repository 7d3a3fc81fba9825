"""How fast the log mel energies of audio towers are, beside torchaudio's: `make bench-sound`.

Both run in one process, by turns, on the same clips of 2 s at 16 kHz with 128 bands, each after one call that does not
count; medians are told. Ours takes a batch of clips at once, torchaudio's takes them one by one, since it has no other
way. Batches of 3 are what the ImageBind tower takes of a sound. By one thread of torch, and by as many as it takes
where nothing is said. Memory of the size of a small tower is taken and given back first: from then on the C library
keeps what either side frees, as it does in any process that has loaded one. Writes benchmarks/results/sound.json and
.md. Ratios travel between machines, rates do not.
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

RATE, SECONDS, MELS = 16_000, 2, 128
BATCHES = (1, 3, 32)
ROUNDS = 101
TARGET = 2.5
"""Times torchaudio's rate, at least, in batches of 3 and more."""
TOLERANCE = 1e-5
TOWER_BYTES = 30 << 20
COLUMNS = ("clips a batch", "threads", "ms a clip", "clips per s", "ms by torchaudio", "ratio", "apart by")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, and write nothing")
    quick = parser.parse_args().quick
    torch.empty(TOWER_BYTES, dtype=torch.uint8)
    usual = torch.get_num_threads()
    rows = []
    for threads in sorted({1, usual}):
        torch.set_num_threads(threads)
        rows += [measured(batch, threads, 15 if quick else ROUNDS) for batch in BATCHES]
    torch.set_num_threads(usual)
    print_table(COLUMNS, [cells(row) for row in rows])
    missed = [f"batches of {row['batch']}, {row['threads']} threads" for row in rows if not row["reached"]]
    print("targets missed: " + ("; ".join(missed) or "none"))
    if not quick:
        write(rows, missed)


def measured(batch: int, threads: int, rounds: int) -> dict[str, Any]:
    """One row: a batch of clips, half noise and half tones."""
    ours: Representation = create_part("representation", "kaldi-fbank", mels=MELS, rate=RATE)
    sounds = [clip(number) for number in range(batch)]
    tensors = [torch.from_numpy(sound.samples) for sound in sounds]
    calls: tuple[Callable[[], Any], ...] = (
        lambda: ours.batch(sounds),
        lambda: [by_torchaudio(tensor) for tensor in tensors],
    )
    theirs = np.stack([each.T.numpy() for each in calls[1]()])
    apart = float(np.abs(calls[0]()[:, 0] - theirs).max())
    if apart > TOLERANCE:
        raise SystemExit(f"ours and torchaudio's differ by {apart:.1e}: rates of different things say nothing")
    taken: tuple[list[float], ...] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            calls[side]()
            taken[side].append((time.perf_counter() - start) / batch)
    seconds, torchaudio = (statistics.median(each) for each in taken)
    return {
        "batch": batch,
        "threads": threads,
        "rounds": rounds,
        "seconds_a_clip": seconds,
        "clips_per_second": 1 / seconds,
        "torchaudio_seconds_a_clip": torchaudio,
        "ratio": torchaudio / seconds,
        "target_ratio": TARGET if batch > 1 else None,
        "largest_difference": apart,
        "reached": batch == 1 or torchaudio / seconds >= TARGET,
    }


def clip(number: int) -> Waveform:
    """2 s of noise, or of a tone in a little noise."""
    random = np.random.default_rng(number)
    samples = random.uniform(-0.5, 0.5, SECONDS * RATE)
    if number % 2:
        samples = 0.01 * samples + 0.5 * np.sin(np.arange(len(samples)) * random.uniform(0.05, 2))
    return Waveform(samples, RATE)


def by_torchaudio(samples: torch.Tensor) -> torch.Tensor:
    """(1, n) to (frames, bands)."""
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


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """A row as it is printed."""
    return (
        str(row["batch"]),
        str(row["threads"]),
        f"{row['seconds_a_clip'] * 1e3:.3f}",
        f"{row['clips_per_second']:.0f}",
        f"{row['torchaudio_seconds_a_clip'] * 1e3:.3f}",
        f"{row['ratio']:.2f}",
        f"{row['largest_difference']:.1e}",
    )


def write(rows: Sequence[Mapping[str, Any]], missed: Sequence[str]) -> None:
    """Write benchmarks/results/sound.json and .md."""
    packages = {name: version(name) for name in ("numpy", "torch", "torchaudio")}
    about = {"python": platform.python_version(), "cpus": os.cpu_count(), "rounds": ROUNDS, "packages": packages}
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "sound.json").write_text(json.dumps({**about, "rows": list(rows)}, indent=1) + "\n")
    lines = [
        "# Log mel energies: rates",
        "",
        *(__doc__ or "").split("\n\n", 1)[1].strip().splitlines(),
        "",
        f"Python {about['python']}, {about['cpus']} processors, "
        + ", ".join(f"{name} {number}" for name, number in packages.items())
        + f"; medians of {ROUNDS} rounds. `ratio` is torchaudio's time over ours, `apart by` the largest difference.",
        "",
        f"Targets missed ({TARGET} times torchaudio's rate in batches): {'; '.join(missed) or 'none'}.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---:|" * len(COLUMNS),
        *("| " + " | ".join(cells(row)) + " |" for row in rows),
    ]
    (results / "sound.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
