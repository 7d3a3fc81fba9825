"""Reconstruction by ONNX networks, with and without states, and networks of another kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anybind.errors import BadInput
from anybind_events import EventStream, reconstruct_frames
from anybind_events.representations.voxel_grid import VoxelGrid
from helpers.command import Command
from helpers.streams import move_bar

Sizes = Sequence[int | str]
Ports = dict[str, Sizes]


def write_model(path: Path, nodes: list, inputs: Ports, outputs: Ports) -> Path:
    """Write a graph of float32 inputs and outputs with these shapes."""

    def list_ports(ports: Ports) -> list:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in ports.items()]

    graph = helper.make_graph(nodes, "reconstruction", list_ports(inputs), list_ports(outputs))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def write_stateless(path: Path, sides: Sizes = ("height", "width"), bins: int | str = 5) -> Path:
    """Write a network whose image is the sigmoid of the mean over bins."""
    nodes = [
        helper.make_node("ReduceMean", ["events"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sigmoid", ["mean"], ["image"]),
    ]
    return write_model(path, nodes, {"events": [1, bins, *sides]}, {"image": [1, 1, *sides]})


def write_stateful(
    path: Path, sides: Sizes = ("height", "width"), state: Sizes = ("batch", 1, "height", "width"), prefix: str = "h"
) -> Path:
    """Write a network whose state is the sum of the means over bins of all windows, and its image the sigmoid of it."""
    nodes = [
        helper.make_node("ReduceMean", ["events"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Add", ["mean", f"prev_{prefix}_0"], [f"new_{prefix}_0"]),
        helper.make_node("Sigmoid", [f"new_{prefix}_0"], ["image"]),
    ]
    inputs = {f"prev_{prefix}_0": state, "events": [1, 5, *sides]}
    return write_model(path, nodes, inputs, {"image": [1, 1, *sides], f"new_{prefix}_0": state})


def compute_means(stream: EventStream, window_us: int) -> np.ndarray:
    voxels = VoxelGrid(bins=5, normalise=True)
    return np.stack([voxels(window).mean(axis=0) for window in stream.windows(window_us)])


def to_levels(values: np.ndarray) -> np.ndarray:
    return np.rint(255 / (1 + np.exp(-values.astype(np.float64))))


@pytest.mark.parametrize("sides", [("height", "width"), (64, 64), (96, 80)])
def test_a_network_without_states_gets_standardised_voxel_grids(sides: Sizes, tmp_path: Path) -> None:
    stream = move_bar(200_000, noise_hz=5)
    model = write_stateless(tmp_path / "model.onnx", sides)
    images = np.stack(list(reconstruct_frames(stream, model=model, window="50ms")))
    expected = to_levels(compute_means(stream, 50_000))
    assert images.shape == (4, 64, 64)
    assert np.abs(images - expected).max() <= 1  # rounding
    assert np.ptp(images) > 50


@pytest.mark.parametrize(
    ("sides", "state"),
    [
        (("height", "width"), ("batch", 1, "height", "width")),
        ((64, 64), (1, 1, 64, 64)),
        (("height", "width"), (1, 1, "height/1", "floor(width/1)")),
    ],
)
def test_states_go_on_from_window_to_window(sides: Sizes, state: Sizes, tmp_path: Path) -> None:
    stream = move_bar(200_000, noise_hz=5)
    model = write_stateful(tmp_path / "model.onnx", sides, state)
    images = np.stack(list(reconstruct_frames(stream, model=model, window="50ms")))
    expected = to_levels(np.cumsum(compute_means(stream, 50_000), axis=0))
    assert np.abs(images - expected).max() <= 1


def test_sensors_of_any_size_are_padded(tmp_path: Path) -> None:
    bar = move_bar(100_000)
    stream = EventStream(bar.x, bar.y, bar.t, bar.p, 77, 65)
    model = write_stateful(tmp_path / "model.onnx")
    images = list(reconstruct_frames(stream, model=model, window="50ms"))
    assert {image.shape for image in images} == {(65, 77)}


def test_the_command_takes_a_model(cli: Command, tmp_path: Path) -> None:
    import anybind

    anybind.write(move_bar(200_000), tmp_path / "bar.npz")
    model = write_stateful(tmp_path / "model.onnx")
    done = cli("reconstruct", tmp_path / "bar.npz", "-o", tmp_path / "a.mp4", "--model", model, "--json")
    record = json.loads(done.out)
    assert record["method"] == {"method": "network", "model": "model.onnx", "bins": 5, "states": 1}
    assert (tmp_path / "a.mp4").stat().st_size > 0


def write_other(kind: str, path: Path) -> Path:
    identity = helper.make_node("Identity", ["a"], ["b"])
    match kind:
        case "garbage":
            path.write_bytes(b"no network")
        case "classifier":
            write_model(path, [identity], {"a": [1, 10]}, {"b": [1, 10]})
        case "two images":
            nodes = [identity, helper.make_node("Identity", ["a"], ["c"])]
            write_model(path, nodes, {"a": [1, 1, 64, 64]}, {"b": [1, 1, 64, 64], "c": [1, 1, 64, 64]})
        case "open bins":
            write_stateless(path, bins="bins")
        case "small":
            write_stateless(path, (32, 64))
        case "unknown state":
            write_stateful(path, state=(1, 1, "rows", "width"))
        case "wrong state":
            write_stateful(path, state=(1, 1, "height/2", "width"))
        case "many bins":
            write_model(path, [identity], {"a": [1, 5, "h", "w"]}, {"b": [1, 5, "h", "w"]})
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("garbage", "model.onnx"),
        ("classifier", r"expected one input for events of 4 dimensions .*got a \[1, 10\]"),
        ("two images", r"expected one output image of 3 or 4 dimensions .*got b \[1, 1, 64, 64\], c"),
        ("open bins", "number of bins of 'events' is not fixed: 'bins'"),
        ("small", "for sides of 32 pixels, the sensor has 64x64; crop or rescale"),
        ("unknown state", "axis 2 of the state 'prev_h_0' is unknown .*named there: height, width"),
        ("wrong state", "cannot run this network"),
        ("many bins", "expected an image of 1x1x64x64, got 1x5x64x64"),
    ],
)
def test_other_networks_are_one_clear_error(kind: str, message: str, tmp_path: Path) -> None:
    model = write_other(kind, tmp_path / "model.onnx")
    with pytest.raises(BadInput, match=message) as caught:
        list(reconstruct_frames(move_bar(100_000), model=model))
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)
