"""A run that is killed half-way, and one that takes up what it left: in processes of their own."""

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


class Counting(Encoder):
    modality, space, weights_hash, preprocessing = "event", anybind.Space("counts", 3), "3" * 12, {}

    def encode(self, inputs):
        with open(os.environ["CALLS"], "a") as file:
            file.write(f"{len(inputs)}\\n")
        time.sleep(0.05)  # so that it can be killed while it works
        return anybind.unit(np.array([[len(each), each.p.sum(), 1 + each.x.sum()] for each in inputs], np.float32))


class First(Head):
    name, predicts = "first", "anomaly"

    def __init__(self):
        super().__init__(needs=("event",))

    def rate(self, inputs, queries):
        return inputs.largest("event", inputs.embeddings["event"].vectors[:, 0])


@hookimpl
def register(registry):
    registry.add(EncoderSpec(name="counting", summary="counts", target="slow_plugin:Counting", modality="event"))
    registry.add(HeadSpec(name="first", summary="first", target="slow_plugin:First", predicts="anomaly"))
"""


@pytest.fixture
def started(make_street, make_distribution, tmp_path):
    """Start the command on a street of 40 windows, with an encoder that takes 50 ms for two of them; its process."""
    street = make_street(640, range(320, 352))
    site = make_distribution("slow", {"slow": "slow_plugin"}, {"slow_plugin": PLUGIN})
    binding = tmp_path / "counting.toml"
    binding.write_text('name = "counting"\n[encoders.event]\nuse = "counting"\n')
    places = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = ("--binding", str(binding), "--head", "first", "--batch-size", "2")

    def start(*arguments):
        command = [sys.executable, "-m", "anybind", "vad", str(street.path), *options, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        more = {"PYTHONPATH": places, "CALLS": str(tmp_path / "calls")}
        return subprocess.Popen(command, **pipes, text=True, env={**os.environ, **more})

    return start


def ended(process):
    out, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    return json.loads(out)


@pytest.mark.slow
@pytest.mark.parametrize("page", [False, True])
def test_a_run_that_was_killed_resumes_with_the_same_scores_and_one_batch_twice_at_most(started, tmp_path, page):
    calls = tmp_path / "calls"

    def embedded():
        return sum(map(int, calls.read_text().split())) if calls.exists() else 0

    arguments = ("--json", *(("-o", tmp_path / "page.html") if page else ()))
    killed = started(*arguments)
    until = time.monotonic() + WAIT_S
    while embedded() < 8:
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = embedded()
    assert before < 40
    assert not (tmp_path / "page.html").exists()

    resumed = ended(started(*arguments))
    assert 40 <= embedded() <= 40 + 2
    whole = ended(started("--json", "--no-store"))
    for name in ("window_scores", "frame_scores", "segments"):
        assert resumed[name] == whole[name]
    assert len(set(whole["window_scores"])) > 20
    assert (tmp_path / "page.html").exists() == page
