"""The reader `inertial-table`: CSV with seven numbers per line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from anybind.plugin import BadInput, Reader

from anybind_inertial.trace import Trace

HEADER = "t,ax,ay,az,gx,gy,gz"
MAX_VALUE = 1e5
"""Largest plausible value, in m/s^2 and rad/s."""


class TableReader(Reader):
    """CSV: the line `t,ax,ay,az,gx,gy,gz`, then seconds, m/s^2 and rad/s of each sample, at an even rate."""

    def sniff(self, head: bytes) -> bool:
        return head.startswith(HEADER.encode())

    def read(self, path: Path) -> Trace:
        lines = path.read_bytes().decode("utf-8", errors="replace").splitlines()
        if not lines or lines[0].strip() != HEADER:
            raise BadInput(f"{path} is not a table of a trace: its first line must be {HEADER}")
        rows = [_parse_row(line, f"{path}, line {number}") for number, line in enumerate(lines[1:], start=2)]
        if len(rows) < 2:
            raise BadInput(f"{path} holds {len(rows)} samples; at least 2 are needed")
        table = np.array(rows)
        steps = np.diff(table[:, 0])
        usual = float(np.median(steps))
        uneven = np.flatnonzero(~((steps > 0.5 * usual) & (steps < 2 * usual) & (steps > 0)))
        if uneven.size:
            first = int(uneven[0])
            raise BadInput(
                f"{path}, line {first + 3}: {steps[first]:g} s after the line before, expected {usual:g} s; "
                "cut it there, or resample it to an even rate"
            )
        rate = (len(table) - 1) / float(table[-1, 0] - table[0, 0])
        return Trace(table[:, 1:4].astype(np.float32), table[:, 4:].astype(np.float32), rate)

    def write(self, sample: Trace, path: Path) -> None:
        times = np.arange(len(sample.acceleration)) / sample.rate
        table = np.column_stack([times, sample.acceleration, sample.rotation])
        # Nine digits represent every float32 exactly.
        np.savetxt(path, table, fmt="%.9g", delimiter=",", header=HEADER, comments="")


def _parse_row(line: str, where: str) -> list[float]:
    try:
        row = [float(cell) for cell in line.split(",")]
    except ValueError:
        row = []
    if len(row) != 7 or not all(abs(value) < MAX_VALUE for value in row):
        raise BadInput(f"{where}: expected seven finite numbers, got {line[:60]!r}")
    return row
