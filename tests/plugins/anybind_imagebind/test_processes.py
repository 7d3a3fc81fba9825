"""Encoders in their own processes: memory of a full-size weight file, and loading without network access."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anybind_imagebind.encoders import ImageBindDepthEncoder
from anybind_imagebind.weights import REPOSITORY, REVISION

PEAK = """
import resource, sys
import soxr
from anybind_imagebind.encoders import ImageBindDepthEncoder, ImageBindSoundEncoder
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
encoders = [encoder_class(sys.argv[1]) for encoder_class in (ImageBindSoundEncoder, ImageBindDepthEncoder)]
assert all(encoder.weights_hash for encoder in encoders)  # reads all weights
print(peak() - before)
"""


@pytest.mark.slow
def test_two_encoders_of_a_full_size_file_need_less_than_600_mb(sparse_file: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", PEAK, str(sparse_file)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert sparse_file.stat().st_size > 4.3e9
    assert int(ended.stdout) < 600


EMBED = """
import socket, sys
connections = []
def refuse(*arguments, **options):
    connections.append(arguments)
    raise OSError("no network here")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from dataclasses import replace
from anybind_imagebind.modules import DEPTH
from anybind_imagebind.encoders import ImageBindDepthEncoder
from anybind_media.depth import DepthMap
import numpy as np
encoder = ImageBindDepthEncoder(architecture=replace(DEPTH, width=16, blocks=2, heads=2, dim=16))
vector = encoder.encode([encoder.preprocess(DepthMap(np.full((9, 9), 2.0, np.float32), fx=500.0, baseline=0.075))])
print(encoder.space.backbone, encoder.identity, np.isfinite(vector).all(), connections)
"""


@pytest.mark.slow
def test_a_cached_encoder_loads_and_embeds_without_network(
    weights: str, depth_encoder: ImageBindDepthEncoder, tmp_path: Path
) -> None:
    root = tmp_path / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = root / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    shutil.copy(weights, snapshot / "model.safetensors")
    environment = {"HF_HUB_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, "-c", EMBED], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr
    # The space and identity of the same weights from a file.
    assert ended.stdout.split("\n")[0] == f"{depth_encoder.space.backbone} {depth_encoder.identity} True []"
