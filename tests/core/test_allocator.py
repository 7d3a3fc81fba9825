"""The process reuses freed memory for its next arrays, measured by page faults in a process of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is configured")

COUNT_FAULTS = """
import resource
import numpy as np
from anybind.plugin import loops

def count_faults(rounds):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        np.ones(32 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = count_faults(10)
with loops.keep_freed_memory():
    np.ones(32 << 20, np.uint8)
    inside = count_faults(10)
print(outside, inside, count_faults(10))
"""


def count_faults(**environment: str) -> tuple[int, ...]:
    """Return the page faults of writing 10 arrays of 32 MiB before, inside and after the block."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    result = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS], capture_output=True, text=True, check=True, env=variables | environment
    )
    return tuple(map(int, result.stdout.split()))


def test_arrays_reuse_freed_memory_inside_the_block_only():
    before, inside, after = count_faults()
    assert inside < before / 10
    assert inside < after / 10


def test_an_allocator_that_the_user_configured_is_left_alone():
    before, inside, _ = count_faults(MALLOC_MMAP_THRESHOLD_="1048576")
    assert inside > before / 2


GROW = """
from pathlib import Path
import numpy as np
from anybind.plugin import loops

def get_mebibytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

with loops.keep_freed_memory() as limit:
    sizes = []
    for megabytes in (64, 64, 512):
        np.ones(megabytes << 20, np.uint8)
        sizes.append(get_mebibytes())
        limit()
    print(*sizes, get_mebibytes())
"""


def test_freed_memory_is_returned_when_the_process_has_grown_by_half():
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    result = subprocess.run([sys.executable, "-c", GROW], capture_output=True, text=True, check=True, env=variables)
    first, second, grown, returned = map(int, result.stdout.split())
    assert abs(second - first) < 16
    assert grown > first + 400
    assert returned < first + 16
