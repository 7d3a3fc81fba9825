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
PLUGIN = '''
import time

import anybind
import numpy as np


class Counting(anybind.Encoder):
    modality, space, weights_hash, preprocessing = "event", anybind.Space("counts", 3), "3" * 12, {}

    def encode(self, inputs):
        return anybind.unit(np.array([[len(each), each.p.sum(), 1 + each.x.sum()] for each in inputs], np.float32))


class Slow(anybind.Head):
    """Takes its time, so that it can be killed while it works."""

    name = "slow"

    def __init__(self):
        super().__init__(needs=("event",))

    def rate(self, windows):
        time.sleep(0.05)
        return windows.largest("event", windows.embeddings["event"].vectors[:, 0])


@anybind.hookimpl
def register_encoders(register):
    register(anybind.Spec(name="counting", summary="counts", target="slow_plugin:Counting", consumes=("event",)))


@anybind.hookimpl
def register_heads(register):
    register(anybind.Spec(name="slow", summary="slow", target="slow_plugin:Slow"))
'''


@pytest.fixture
def started(make_street, make_distribution, tmp_path):
    """Start the command on a street of 40 windows, with a head that takes 50 ms for two of them; its process."""
    street = make_street(640, range(320, 352))
    site = make_distribution("slow", {"slow": "slow_plugin"}, {"slow_plugin": PLUGIN})
    binding = tmp_path / "counting.toml"
    binding.write_text('name = "counting"\n[encoders.event]\nuse = "counting"\n')
    places = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    options = ("--binding", str(binding), "--head", "slow", "--batch-size", "2")

    def start(*arguments):
        command = [sys.executable, "-m", "anybind", "vad", str(street.path), *options, *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, **pipes, text=True, env={**os.environ, "PYTHONPATH": places})

    return start


def ended(process):
    out, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0, said
    return json.loads(out)


def test_a_run_that_was_killed_is_finished_with_the_same_scores(started, tmp_path):
    page, kept = tmp_path / "page.html", tmp_path / "page.html.partial.jsonl"
    killed = started("-o", page)
    until = time.monotonic() + WAIT_S
    while not (kept.exists() and kept.read_bytes().count(b"\n") >= 4):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < until
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert 3 <= kept.read_bytes().count(b"scores") < 20
    assert not page.exists()

    resumed, whole = ended(started("-o", page, "--resume", "--json")), ended(started("--json"))
    for name in ("window_scores", "frame_scores", "segments"):
        assert resumed[name] == whole[name]
    assert len(set(whole["window_scores"])) > 20
    assert page.exists()
    assert not kept.exists()
