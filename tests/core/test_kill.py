"""`kill -9` of commands: outputs stay whole, and earlier embeddings are in the store."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill_embed.py"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["embed", "index"])
def test_a_killed_run_loses_at_most_one_batch_and_resumes_with_the_same_output(command, tmp_path):
    spec = importlib.util.spec_from_file_location("kill_embed", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    report = script.kill_runs(tmp_path, command=command, files=160, kills=4, processes=1)
    assert report["outputs_equal"]
    assert 3 <= report["processes_killed"] <= 4
    assert report["files_encoded_twice"] <= report["most_allowed"]


@pytest.mark.slow
def test_commands_killed_inside_a_write_leave_whole_outputs_and_no_temporary_files(tmp_path):
    script, report = SCRIPT.with_name("kills.py"), tmp_path / "kills.json"
    command = [sys.executable, str(script), "--quick", "--only", "convert", "--only", "store", "--output", str(report)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = json.loads(report.read_text())
    assert [row["problems"] for row in rows] == [[], []], process.stderr
    assert [row["inside_a_write"] for row in rows] == [1, 1]
    assert process.returncode == 0
