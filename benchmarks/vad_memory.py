"""Peak memory of `anybind vad` for a video of two hours and one of a minute: `make vad-memory`.

Both repeat the packets of one video. The command runs in a new process and writes a page and JSON; its peak resident
memory is that of Linux (VmHWM). Exits with 1 if the two peaks differ by more than 50 MB.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from video_rate import N_FRAMES, encode_video, load_frames

from anybind.commandline import print_table

MAX_DIFFERENCE_MB = 50
PROBE = """
import atexit, pathlib, sys
from anybind.cli import main

def print_peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM:")), file=sys.stderr)

atexit.register(print_peak)
main()
"""
"""Program that runs the command and prints its peak in kB to stderr; `ru_maxrss` would include this process."""


def main() -> None:
    """Make the videos, run the command on both, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs=2, default=(1, 120), help="durations of the two videos")
    parser.add_argument("--head", default="zero-shot", help="head that needs no fitting")
    parser.add_argument("--binding", default="mini")
    parser.add_argument("--output", type=Path, help="write the table to this JSON file")
    parser.add_argument("--quick", action="store_true", help="use videos of 1 and 3 minutes")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _, frames = load_frames(N_FRAMES)
        once = encode_video(Path(folder) / "once.mp4", "mpeg4", frames)
        for minutes in (1, 3) if options.quick else options.minutes:
            video = repeat_video(once, Path(folder) / f"{minutes:g}.mkv", minutes * 60)
            seconds, peak = measure_peak(video, Path(folder) / "page.html", options.head, options.binding)
            rows.append((minutes, seconds, peak))
    print_table(
        ("minutes", "seconds", "peak MB"),
        [(f"{minutes:g}", f"{seconds:.1f}", f"{peak:.1f}") for minutes, seconds, peak in rows],
        f"anybind vad --head {options.head} --binding {options.binding}, with page and JSON",
    )
    difference = rows[1][2] - rows[0][2]
    print(f"difference: {difference:.1f} MB; limit: {MAX_DIFFERENCE_MB} MB")
    if options.output:
        names = ("minutes", "seconds", "peak_mb")
        options.output.write_text(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=1) + "\n")
    raise SystemExit(difference > MAX_DIFFERENCE_MB)


def repeat_video(once: Path, path: Path, seconds: float) -> Path:
    """Write a video of this duration by repeating the packets of another one."""
    with av.open(once) as source, av.open(path, "w") as target:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        tick = packets[0].time_base
        span = max(packet.pts for packet in packets) + packets[0].duration
        output = target.add_stream_from_template(stream)
        for turn in range(max(1, round(seconds / float(span * tick)))):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base, copy.is_keyframe = output, tick, packet.is_keyframe
                copy.pts, copy.dts = packet.pts + turn * span, packet.dts + turn * span
                copy.duration = packet.duration
                target.mux(copy)
    return path


def measure_peak(video: Path, page: Path, head: str, binding: str) -> tuple[float, float]:
    """Run the command; return its seconds and its peak resident memory in MB."""
    options = ["--head", head, "--binding", binding, "--output", str(page), "--json"]
    command = [sys.executable, "-c", PROBE, "vad", str(video), *options]
    start = time.perf_counter()
    process = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        raise SystemExit(process.stderr)
    return time.perf_counter() - start, int(process.stderr.split()[-1]) / 1024


if __name__ == "__main__":
    main()
