"""Ways to convert a graph to int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from anybind_export.graphs import UnsuitableRecipe, quantize


def make_graph(path: Path, *, with_weights: bool) -> Path:
    """Write a graph of one matrix product, with weights or of two inputs."""
    left = helper.make_tensor_value_info("left", TensorProto.FLOAT, [2, 32])
    right = helper.make_tensor_value_info("right", TensorProto.FLOAT, [32, 16])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [2, 16])
    weights = onnx.numpy_helper.from_array(np.random.default_rng(0).random((32, 16), np.float32), "right")
    inputs, initializers = ([left], [weights]) if with_weights else ([left, right], [])
    node = helper.make_node("MatMul", ["left", "right"], ["output"], name="product")
    graph = helper.make_graph([node], "graph", inputs, [output], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_dynamic_int8_converts_products_with_weights(tmp_path: Path):
    quantize(make_graph(tmp_path / "a.onnx", with_weights=True), tmp_path / "b.onnx", "dynamic", [])
    types = {each.data_type for each in onnx.load(tmp_path / "b.onnx").graph.initializer}
    assert TensorProto.INT8 in types


@pytest.mark.parametrize("recipe", ["static", "dynamic"])
def test_a_graph_without_weights_is_unsuitable_for_int8(recipe: str, tmp_path: Path):
    """Such as the mean over the windows of a recording, which would be a copy in float32 that passes as int8."""
    with pytest.raises(UnsuitableRecipe, match=recipe):
        quantize(make_graph(tmp_path / "a.onnx", with_weights=False), tmp_path / "b.onnx", recipe, [])
