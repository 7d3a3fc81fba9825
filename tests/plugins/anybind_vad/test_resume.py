"""Resuming a killed run, in new processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

WAIT_S = 120
PLUGIN = """
import os
import time

import anybind
import numpy as np
from anybind.plugin import Encoder, EncoderSpec, Head, HeadSpec, hookimpl

anybind_contract = 1


class SlowEncoder(Encoder):
    modality, space, weights_hash, preprocessing = "event", anybind.Space("counts", 3), "3" * 12, {}

    def encode(self, inputs):
        with open(os.environ["CALLS"], "a") as file:
            file.write(f"{len(inputs)}\\n")
        time.sleep(0.05)  # slow enough to be killed at work
        return anybind.normalize(np.array([[len(each), each.p.sum(), 1 + each.x.sum()] for each in inputs], np.float32))


class FirstCoordinate(Head):
    name, predicts = "first", "anomaly"

    def __init__(self):
        super().__init__(needs=("event",))

    def compute_scores(self, inputs, queries):
        return inputs.max_by_sample("event", inputs.embeddings["event"].vectors[:, 0])


@hookimpl
def register(registry):
    registry.add(EncoderSpec(name="counting", summary="counts", target="slow_plugin:SlowEncoder", modality="event"))
    registry.add(HeadSpec(name="first", summary="first", target="slow_plugin:FirstCoordinate", predicts="anomaly"))
"""


@pytest.fixture
def start_vad(make_street, make_distribution, tmp_path):
    """Start the command on a video of 40 windows, with an encoder that takes 50 ms for two; return the process."""
    street = make_street(640, range(320, 352))
    site = make_distribution("slow", {"slow": "slow_plugin"}, {"slow_plugin": PLUGIN})
    binding = tmp_path / "counting.toml"
    binding.write_text('name = "counting"\n[encoders.event]\nuse = "counting"\n')
    python_path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = ("--binding", str(binding), "--head", "first", "--batch-size", "2")

    def start(*arguments):
        command = [sys.executable, "-m", "anybind", "vad", str(street.path), *options, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {"PYTHONPATH": python_path, "CALLS": str(tmp_path / "calls")}
        return subprocess.Popen(command, **pipes, text=True, env={**os.environ, **environment})

    return start


def read_result(process):
    stdout, stderr = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, stderr
    return json.loads(stdout)


@pytest.mark.slow
@pytest.mark.parametrize("page", [pytest.param(False, marks=pytest.mark.long), True])
def test_killed_run_resumes_with_equal_scores_and_repeats_at_most_one_batch(start_vad, tmp_path, page):
    calls = tmp_path / "calls"

    def count_embedded():
        return sum(map(int, calls.read_text().split())) if calls.exists() else 0

    arguments = ("--json", *(("-o", tmp_path / "page.html") if page else ()))
    killed = start_vad(*arguments)
    until = time.monotonic() + WAIT_S
    while count_embedded() < 8:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = count_embedded()
    assert before < 40
    assert not (tmp_path / "page.html").exists()

    resumed = read_result(start_vad(*arguments))
    assert 40 <= count_embedded() <= 40 + 2
    whole = read_result(start_vad("--json", "--no-store"))
    for name in ("window_scores", "frame_scores", "segments"):
        assert resumed[name] == whole[name]
    assert len(set(whole["window_scores"])) > 20
    assert (tmp_path / "page.html").exists() == page
