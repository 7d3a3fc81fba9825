"""The processor that a benchmark ran on, for its report."""

from __future__ import annotations

import platform
from pathlib import Path


def read_processor() -> str:
    """Return the name of the processor, with its caches as far as Linux says."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    caches = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        kind = (index / "type").read_text().strip()
        if kind != "Instruction":
            caches.append(f"L{(index / 'level').read_text().strip()} {(index / 'size').read_text().strip()}")
    return f"{names[0].partition(':')[2].strip() if names else platform.processor()} ({', '.join(caches)})"
