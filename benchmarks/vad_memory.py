"""How much memory `anybind vad` takes for a film of two hours, beside one of a minute: `make vad-memory`.

Both are one film, its packets written again and again with later times. The command runs in a process of its own and
writes page and JSON; its peak of resident memory is what Linux says of it. Ends with 1 where the two peaks are more
than 50 MB apart.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
from video_rate import encode, pictures

from anybind.commandline import print_table

APART_MB = 50
PROBE = """
import atexit, pathlib, sys
from anybind.cli import main

def tell():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM:")), file=sys.stderr)

atexit.register(tell)
main()
"""
"""Runs the command and ends with its peak, in kB, on stderr. (`ru_maxrss` would begin at the peak of this process.)"""


def main() -> None:
    """Make the films, run the command on both, print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--minutes", type=float, nargs=2, default=(1, 120), help="lengths of the two films")
    options.add_argument("--head", default="zero-shot", help="a head that needs no fitting")
    options.add_argument("--binding", default="mini")
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _, frames = pictures()
        once = encode(Path(folder) / "once.mp4", "mpeg4", frames)
        for minutes in given.minutes:
            film = looped(once, Path(folder) / f"{minutes:g}.mkv", minutes * 60)
            seconds, peak = measured(film, Path(folder) / "page.html", given.head, given.binding)
            rows.append((minutes, seconds, peak))
    print_table(
        ("minutes", "seconds taken", "peak MB"),
        [(f"{minutes:g}", f"{seconds:.1f}", f"{peak:.1f}") for minutes, seconds, peak in rows],
        f"anybind vad --head {given.head} --binding {given.binding}, pages and JSON",
    )
    apart = rows[1][2] - rows[0][2]
    print(f"apart: {apart:.1f} MB; allowed: {APART_MB} MB")
    raise SystemExit(apart > APART_MB)


def looped(once: Path, path: Path, seconds: float) -> Path:
    """A film of this length, made of another one's packets."""
    with av.open(once) as source, av.open(path, "w") as target:
        stream = source.streams.video[0]
        packets = [packet for packet in source.demux(stream) if packet.size]
        tick = packets[0].time_base
        span = max(packet.pts for packet in packets) + packets[0].duration
        written = target.add_stream_from_template(stream)
        for turn in range(max(1, round(seconds / float(span * tick)))):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                copy.stream, copy.time_base, copy.is_keyframe = written, tick, packet.is_keyframe
                copy.pts, copy.dts = packet.pts + turn * span, packet.dts + turn * span
                copy.duration = packet.duration
                target.mux(copy)
    return path


def measured(film: Path, page: Path, head: str, binding: str) -> tuple[float, float]:
    """Seconds that the command takes, and its peak of resident memory in MB."""
    options = ["--head", head, "--binding", binding, "--output", str(page), "--json"]
    command = [sys.executable, "-c", PROBE, "vad", str(film), *options]
    start = time.perf_counter()
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    return time.perf_counter() - start, int(ended.stderr.split()[-1]) / 1024


if __name__ == "__main__":
    main()
