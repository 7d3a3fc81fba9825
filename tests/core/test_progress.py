"""Progress bars: drawn on a terminal, not in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import time
from anybind.plugin import loops
with loops.progress_bar(3, "embedding things") as advance:
    for _ in range(3):
        time.sleep(0.15)
        advance(1)
print("done")
"""


def test_in_a_pipe_no_bar_is_drawn():
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("done\n", "")


def test_on_a_terminal_a_bar_is_drawn_on_stderr_and_not_on_stdout():
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=theirs, text=True, check=True, env=variables
    )
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    assert result.stdout == "done\n"
    assert "embedding things" in drawn
    assert "1/3" in drawn


def test_nested_loops_draw_two_bars(tmp_path):
    script = tmp_path / "nested.py"
    script.write_text(
        "from anybind.plugin import loops\n"
        "import time\n"
        'with loops.progress_bar(2, "outer loop") as outer:\n'
        "    for _ in range(2):\n"
        '        with loops.progress_bar(2, "inner loop") as inner:\n'
        "            time.sleep(0.3)\n"
        "            inner(1)\n"
        "        outer(1)\n"
    )
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, script], stderr=theirs, check=True, env=variables)
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    both = drawn[drawn.index("inner loop") :]
    assert "outer loop" in both
