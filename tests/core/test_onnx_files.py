"""ONNX files: external data outside their folder, and damaged files."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from anybind.errors import BadInput
from anybind.onnx_files import check_external_data


def make_tensor(location: str) -> onnx.TensorProto:
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "weights")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def place_in_graph(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.initializer.append(tensor)


def place_in_attribute(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["c"], value=tensor))


def place_in_branch(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    branch = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["c"], value=tensor)], "branch", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["a"], ["b"], then_branch=branch, else_branch=branch))


def place_in_function(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    node = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    model.functions.append(onnx.helper.make_function("own", "F", [], ["c"], [node], [onnx.helper.make_opsetid("", 20)]))


def place_in_sparse_tensor(model: onnx.ModelProto, tensor: onnx.TensorProto) -> None:
    indices = onnx.numpy_helper.from_array(np.zeros(4, np.int64), "indices")
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(tensor, indices, [9]))


PLACES = (place_in_graph, place_in_attribute, place_in_branch, place_in_function, place_in_sparse_tensor)


@pytest.mark.parametrize("place", PLACES)
def test_external_data_is_allowed_in_the_folder_alone(place, tmp_path):
    for location, is_allowed in (("weights.bin", True), ("below/weights.bin", True), ("../secret", False),
                                 ("below/../../secret", False), ("/etc/passwd", False)):  # fmt: skip
        model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
        place(model, make_tensor(location))
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        if is_allowed:
            check_external_data(path)
        else:
            with pytest.raises(
                BadInput, match=r"expected external data in the folder of the file, got '.*(secret|pass)"
            ):
                check_external_data(path)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(100))
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []))
    place_in_graph(model, make_tensor("weights.bin"))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadInput, match=r"got 'weights.bin'; the file was not loaded"):
        check_external_data(folder / "model.onnx")


@pytest.mark.parametrize("content", [b"", b"text, not a graph", b"\x3a\xff\xff\x03", b"\xff" * 30])
def test_a_file_of_another_format_is_refused(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"model.onnx: not a valid ONNX file"):
        check_external_data(path)
