"""Peak memory of reading and embedding small files that declare much: `make memory`.

Writes images and audio whose headers declare 100 million pixels or a billion samples. Each is read in a new process
with default limits (which refuse it), with raised limits, and embedded; then all are embedded together. Peaks are
Linux's (VmHWM). Exits with 1 if the joint run exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import PIL.Image

from anybind.commandline import print_table

LIMIT_MB = 1500
RAISED = {"image": "max_pixels=1000000000", "sound": "max_samples=2000000000"}
PROBE = """
import atexit, pathlib

def print_peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    print("peak", next(line.split()[1] for line in lines if line.startswith("VmHWM:")))

atexit.register(print_peak)
"""
READ = """
import sys, anybind
from anybind.commandline import parse_options
anybind.read(sys.argv[1], reader=sys.argv[2], **parse_options(sys.argv[3:]))
"""
COMMAND = "from anybind.cli import main\nmain()"


@dataclass(frozen=True)
class Case:
    """A file and its peaks in MB.

    Attributes:
        name: name of the file.
        modality: image or sound.
        declared: width and height, or samples and sample rate.
        before_gb: peak of `anybind.read` at version 0.2 in GB; None if it was not measured.
        write: writes the file at a path with the declared sizes.
    """

    name: str
    modality: str
    declared: tuple[int, int]
    before_gb: float | None
    write: Callable[[Path, int, int], None]


@dataclass(frozen=True)
class Row:
    """The result of a case: bytes of the file, and peaks in MB."""

    name: str
    n_bytes: int
    declared: str
    before_mb: float | None
    refused_mb: float
    read_mb: float
    embed_mb: float

    def list_peaks(self) -> tuple[float | None, ...]:
        """Return the peaks in the order of the table's columns."""
        return self.before_mb, self.refused_mb, self.read_mb, self.embed_mb


def main() -> None:
    """Write the files, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binding", default="mini")
    parser.add_argument("--output", type=Path, help="write the table to this JSON file")
    parser.add_argument("--quick", action="store_true", help="use files with a sixteenth of the pixels and samples")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder, output = Path(name), Path(name) / "out.safetensors"
        for case in CASES:
            width, height = case.declared
            declared = (width // 4, height // 4) if case.modality == "image" else (width // 16, height)
            path = folder / case.name
            case.write(path, *(declared if options.quick else case.declared))
            raised = RAISED[case.modality]
            embed = ["embed", str(path), "-o", str(output), "--no-store", "--binding", options.binding]
            rows.append(
                Row(
                    case.name,
                    path.stat().st_size,
                    " x ".join(map(str, declared if options.quick else case.declared)),
                    None if case.before_gb is None or options.quick else 1000 * case.before_gb,
                    measure_peak(READ, [str(path), case.modality], fails=not options.quick),
                    measure_peak(READ, [str(path), case.modality, raised]),
                    measure_peak(COMMAND, [*embed, "--reader-option", raised]),
                )
            )
            print(rows[-1], file=sys.stderr)
        limits = [each for value in RAISED.values() for each in ("--reader-option", value)]
        paths = [str(folder / case.name) for case in CASES]
        embed = ["embed", *paths, "-o", str(output), "--no-store", "--binding", options.binding]
        together = measure_peak(COMMAND, [*embed, *limits])
    print_table(
        ("file", "bytes", "declared", "read, 0.2", "default limits", "read, raised", "embed, raised"),
        [(row.name, f"{row.n_bytes:,}", row.declared, *map(format_mb, row.list_peaks())) for row in rows],
        "peak memory in MB",
    )
    print(f"all embedded together: {together:.0f} MB; limit: {LIMIT_MB} MB")
    if options.output:
        results = {"files": [asdict(row) for row in rows], "together_mb": together, "limit_mb": LIMIT_MB}
        options.output.write_text(json.dumps(results, indent=1) + "\n")
    raise SystemExit(together > LIMIT_MB)


def format_mb(mb: float | None) -> str:
    """Format a peak; empty if it was not measured."""
    return "" if mb is None else f"{mb:.0f}"


def measure_peak(program: str, arguments: list[str], fails: bool = False) -> float:
    """Run a program in a new process; return its peak memory in MB. `fails`: it must raise an error of anybind."""
    command = [sys.executable, "-W", "ignore", "-c", PROBE + program, *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    is_refused = process.returncode != 0 and "exceed the limit" in process.stderr
    if is_refused != fails or (process.returncode and not is_refused):
        raise SystemExit(f"{' '.join(arguments)}: {process.stderr}")
    return int(process.stdout.split()[-1]) * 1024 / 1e6


def save_image(mode: str, **options: object) -> Callable[[Path, int, int], None]:
    """Return a function that writes an image of one colour in this mode."""

    def write(path: Path, width: int, height: int) -> None:
        color = {"RGBA": (200, 30, 60, 128), "RGB": (200, 30, 60)}.get(mode, 1)
        PIL.Image.new(mode, (width, height), color).save(path, **options)  # pyright: ignore[reportArgumentType]

    return write


def save_sparse_wav(path: Path, n_samples: int, rate: int) -> None:
    """Write a WAV file of 16-bit silence that takes no space."""
    n_bytes = 2 * n_samples
    layout = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16)
    with path.open("wb") as file:
        file.write(
            b"RIFF" + struct.pack("<I", n_bytes + 36) + b"WAVEfmt " + layout + b"data" + struct.pack("<I", n_bytes)
        )
        file.truncate(n_bytes + 44)


CASES = (
    Case("rgba.png", "image", (13_300, 13_300), 4.1, save_image("RGBA")),
    Case("lossy.webp", "image", (16_383, 10_900), 3.8, save_image("RGB")),
    Case("lzw.tif", "image", (13_000, 13_000), 2.3, save_image("RGB", compression="tiff_lzw")),
    Case("bilevel.png", "image", (13_300, 13_300), 1.9, save_image("1")),
    Case("photo.jpg", "image", (13_300, 13_300), None, save_image("RGB")),
    Case("sparse.wav", "sound", ((1 << 30) - 64, 48_000), 8.3, save_sparse_wav),
)


if __name__ == "__main__":
    main()
