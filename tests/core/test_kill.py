"""`kill -9` of `embed` and `index` loses at most one batch: earlier embeddings are in the store."""

from __future__ import annotations

import importlib.util
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
