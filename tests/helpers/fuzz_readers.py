"""Fuzz readers with damaged recordings: a reader must return a sample or raise one clear error, in bounded memory.

    python tests/helpers/fuzz_readers.py FILE... [--seconds 600] [--seed 0]                 (make fuzz FILES="..." SECONDS=600)
    python tests/helpers/fuzz_readers.py depth.png --reader depth --option preset=tum

Each case is a file with flipped bits, a truncated end, or pieces that are moved, repeated or overwritten. It prints
broken rules with the seed of the case, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import anybind
from anybind.commandline import parse_options
from anybind.errors import PluginError

MOST_SECONDS = 20
SPARE_BYTES = 64 << 20
TIMES = 4
"""Allowed memory as a multiple of the file size, in addition to the spare bytes."""


def damage_content(content: bytes, seed: int) -> bytes:
    """Damage a file's content in one to four ways, deterministic for the same seed."""
    random = np.random.default_rng(seed)
    array = np.frombuffer(content, np.uint8).copy()
    for _ in range(int(random.integers(1, 5))):
        if not len(array):
            break
        # Headers decide how the rest is read: half of all damage goes there.
        reach = min(len(array), 512) if random.random() < 0.5 else len(array)
        at = int(random.integers(reach))
        length = int(random.integers(1, 65))
        match int(random.integers(5)):
            case 0:
                array[at] ^= 1 << int(random.integers(8))
            case 1:
                array = array[:at]
            case 2:
                array[at : at + length] = random.integers(0, 256, len(array[at : at + length]))
            case 3:
                array = np.concatenate([array[:at], array[at + length :]])
            case 4:
                piece = array[int(random.integers(len(array))) :][:length]
                array = np.concatenate([array[:at], piece, array[at:]])
    return array.tobytes()


def find_broken_rule(
    content: bytes, suffix: str, folder: Path, *, chunks: bool = False, reader: str | None = None, **options: Any
) -> str | None:
    """Return the rule that reading a content breaks; None if it is read, or raises an error of one line.

    Args:
        content: content of the file.
        suffix: suffix of its name.
        folder: folder to write it into.
        chunks: whether to read it in chunks.
        reader: name of the reader. [default: by content and name]
        options: options of the reader.
    """
    path = folder / f"damaged{suffix}"
    path.write_bytes(content)
    signal.signal(signal.SIGALRM, _raise_timeout)
    signal.alarm(MOST_SECONDS)
    tracemalloc.start()
    fault = _find_fault(path, chunks, {"reader": reader, **options})
    signal.alarm(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if fault is None and peak > TIMES * len(content) + SPARE_BYTES:
        return f"took {peak >> 20} MiB for {len(content)} bytes"
    return fault


def _find_fault(path: Path, chunks: bool, options: dict[str, Any]) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", anybind.AnybindWarning)
            warnings.simplefilter("error", RuntimeWarning)  # unexpected arithmetic
            for _ in anybind.read_chunks(path, count=1000, **options) if chunks else [anybind.read(path, **options)]:
                pass
    except PluginError as error:
        return f"a plugin's fault: {error}"
    except anybind.AnybindError as error:
        return f"an error of several lines: {error}" if "\n" in str(error) else None
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return None


def _raise_timeout(*_: object) -> None:
    raise TimeoutError(f"more than {MOST_SECONDS} s")


def main() -> int:
    """Damage and read files until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader")
    parser.add_argument("--option", action="append", help="NAME=VALUE for the reader")
    given = parser.parse_args()
    options = {"reader": given.reader, **parse_options(given.option)}
    contents = {path: path.read_bytes() for path in given.files}
    end, seed, faults = time.monotonic() + given.seconds, given.seed, 0
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            for path, content in contents.items():
                fault = find_broken_rule(
                    damage_content(content, seed), path.suffix, Path(folder), chunks=seed % 2 == 1, **options
                )
                if fault:
                    faults += 1
                    print(f"{path} with seed {seed}: {fault}")
            seed += 1
    print(f"{len(contents)} files, {seed - given.seed} cases each, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
