"""Graph files of exported encoders: from torch to ONNX, half precision, int8, and OpenVINO's IR."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from anybind.plugin import Adapter, errors, export
from anybind_export.card import Precision, Runtime
from anybind_export.processor import has_int8_products

MAX_EMBEDDED_BYTES = 1 << 30
"""Largest size of weights inside the graph's file; larger ones are in one file beside it. Protobuf ends at 2 GiB."""
SMALLEST = 256
"""Smallest number of weights of a tensor that is stored at lower precision: shapes and scales stay exact."""
RECIPES = ("static", "partial", "dynamic", "weights")
"""Ways to convert to int8, from the fastest to the most accurate: calibrated products; those without depthwise
convolutions and the first one, whose ranges differ most; matrix products with activations by the range of each
sample; weights alone, with float32 arithmetic."""
PRODUCTS = ("Conv", "Gemm", "MatMul")


class UnsuitableRecipe(errors.UnsupportedBackend):
    """A way to convert to int8 that changes nothing in a graph."""


def trace_graph(
    plan: export.ExportPlan, adapters: Sequence[Adapter], arrays: Mapping[str, np.ndarray], path: Path
) -> None:
    """Write the ONNX graph of a network, float32.

    Args:
        plan: the network and its inputs.
        adapters: adapters that become part of the graph.
        arrays: an example of each input; sizes of the plan's axes must be 2 or more.
        path: the file.

    Raises:
        UnsupportedBackend: the network has an operator that ONNX lacks, or cannot be traced.
    """
    symbols = {name: torch.export.Dim(name) for axes in plan.axes.values() for name in axes.values()}
    try:
        with _quiet():
            program = torch.onnx.export(
                TracedNetwork(plan.module, adapters).eval(),
                tuple(torch.from_numpy(arrays[name]) for name in plan.axes),
                input_names=list(plan.axes),
                output_names=["features"],
                dynamic_shapes=(
                    tuple({axis: symbols[name] for axis, name in axes.items()} for axes in plan.axes.values()),
                ),
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            program.save(str(path), external_data=True)
    except Exception as error:  # the exporter and its passes raise many
        raise errors.UnsupportedBackend(
            f"the encoder {plan.encoder!r} cannot be exported to ONNX: {_describe_cause(error)}"
        ) from error
    model = onnx.load(path)
    for each in model.graph.input:
        sizes = each.type.tensor_type.shape.dim
        fixed = [name for axis, name in plan.axes[each.name].items() if not sizes[axis].dim_param]
        if fixed:  # the exporter fixes sizes that the network converts to Python's integers, as by len
            name = f"the encoder {plan.encoder!r} cannot be exported to ONNX"
            raise errors.UnsupportedBackend(f"{name}: its network fixes the size {fixed[0]!r} of {each.name!r}")
    write_graph(model, path)


def write_graph(model: onnx.ModelProto, path: Path) -> None:
    """Write a graph with its weights inside, or, if they are large, in one file beside it."""
    graph = model.graph
    for each in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):  # paths and traces
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    model.ClearField("metadata_props")
    graph.ClearField("value_info")
    for each in (path, path.with_name(f"{path.name}.data")):
        each.unlink(missing_ok=True)
    size = sum(len(each.raw_data) for each in graph.initializer)
    if size > MAX_EMBEDDED_BYTES:
        onnx.save_model(model, path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=1024)
    else:
        onnx.save_model(model, path)


def store_half(source: Path, target: Path) -> None:
    """Write a graph whose weights are stored as float16; it computes in float32."""
    model = onnx.load(source)
    for each in list(model.graph.initializer):
        array = onnx.numpy_helper.to_array(each)
        if array.dtype == np.float32 and array.size >= SMALLEST and _fits_half(array):
            _replace_weights(model.graph, each, array.astype(np.float16))
    write_graph(model, target)


def store_int8(source: Path, target: Path) -> None:
    """Write a graph whose weights are stored as int8, with a scale for each output channel; it computes in float32.

    Depthwise convolutions, which have few weights, and the first convolution stay as they are.
    """
    model = onnx.load(source)
    axes: dict[str, set[int]] = {}
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    for node in model.graph.node:
        if not _is_sensitive(node, products) and node.op_type in (*PRODUCTS, "Gather"):
            name = node.input[0 if node.op_type == "Gather" else 1]
            transposed = any(each.name == "transB" and each.i for each in node.attribute)
            axes.setdefault(name, set()).add(-1 if node.op_type in ("Gemm", "MatMul") and not transposed else 0)
    for each in list(model.graph.initializer):
        array = onnx.numpy_helper.to_array(each)
        if array.dtype != np.float32 or array.ndim < 2 or array.size < SMALLEST or len(axes.get(each.name, ())) != 1:
            continue
        channels = axes[each.name].pop() % array.ndim
        others = tuple(axis for axis in range(array.ndim) if axis != channels)
        scale = np.maximum(np.abs(array).max(axis=others, keepdims=True), np.float32(1e-12)) / np.float32(127)
        _replace_weights(model.graph, each, np.rint(array / scale).astype(np.int8), scale)
    write_graph(model, target)


def _replace_weights(
    graph: onnx.GraphProto, weights: onnx.TensorProto, array: np.ndarray, scale: np.ndarray | None = None
) -> None:
    """Replace weights by an array of another type, which is converted to float32 and, with a scale, multiplied."""
    name, stored = weights.name, f"{weights.name}.stored"
    weights.CopyFrom(onnx.numpy_helper.from_array(array, stored))
    converted = name if scale is None else f"{name}.converted"
    nodes = [onnx.helper.make_node("Cast", [stored], [converted], to=onnx.TensorProto.FLOAT)]
    if scale is not None:
        graph.initializer.append(onnx.numpy_helper.from_array(scale, f"{name}.scale"))
        nodes.append(onnx.helper.make_node("Mul", [converted, f"{name}.scale"], [name]))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)


def _fits_half(array: np.ndarray) -> bool:
    return bool(np.abs(array).max(initial=0) < np.finfo(np.float16).max)


def quantize(source: Path, target: Path, recipe: str, batches: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Write a graph with int8 weights.

    Args:
        source: the graph, float32.
        target: the file.
        recipe: one of `RECIPES`.
        batches: inputs of the graph, for the calibration of activations.

    Raises:
        UnsuitableRecipe: the graph has nothing that the recipe converts.
        UnsupportedBackend: the graph cannot be converted.
    """
    if recipe == "weights":
        store_int8(source, target)
        return
    prepared = target.with_name("prepared.onnx")
    try:
        with _quiet():
            _quantize_products(source, prepared, target, recipe, batches)
    except UnsuitableRecipe:
        raise
    except Exception as error:
        raise errors.UnsupportedBackend(f"cannot convert to int8: {_describe_cause(error)}") from error
    finally:
        for each in (prepared, prepared.with_name(f"{prepared.name}.data")):
            each.unlink(missing_ok=True)
    write_graph(onnx.load(target), target)


def _quantize_products(
    source: Path, prepared: Path, target: Path, recipe: str, batches: Sequence[Mapping[str, np.ndarray]]
) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(source, prepared, skip_symbolic_shape=True)  # folds batch norms into convolutions
    graph = onnx.load(prepared, load_external_data=False).graph
    weights = {each.name for each in graph.initializer}  # the mean over windows is a product without weights
    nodes = [node for node in graph.node if node.op_type in PRODUCTS and weights.intersection(node.input)]
    kinds = [kind for kind in PRODUCTS if recipe != "dynamic" or kind != "Conv"]
    excluded = [node.name for node in nodes if recipe == "partial" and _is_sensitive(node, nodes)]
    if not any(node.op_type in kinds for node in nodes) or (recipe == "partial" and not excluded):
        raise UnsuitableRecipe(f"the graph has nothing for int8 by the recipe {recipe}")
    options: dict[str, Any] = {
        "op_types_to_quantize": kinds,
        "nodes_to_exclude": excluded,
        "per_channel": True,
        # Weights of 7 bits, where sums of products of 8 bits overflow in the processor's registers.
        "reduce_range": not has_int8_products(),
        "weight_type": quantization.QuantType.QInt8,
        "use_external_data_format": source.with_name(f"{source.name}.data").exists(),
    }
    if recipe == "dynamic":
        quantization.quantize_dynamic(prepared, target, **options)
    else:
        activation_type = quantization.QuantType.QUInt8
        calibration: Any = _CalibrationBatches(batches)
        quantization.quantize_static(prepared, target, calibration, activation_type=activation_type, **options)


def _is_sensitive(node: onnx.NodeProto, nodes: Sequence[onnx.NodeProto]) -> bool:
    """Return whether a node is a depthwise convolution, or the first one."""
    is_depthwise = any(each.name == "group" and each.i > 1 for each in node.attribute)
    return node.op_type == "Conv" and (is_depthwise or node is nodes[0])


class _CalibrationBatches:
    """Batches in the form that ONNX Runtime's calibration reads."""

    def __init__(self, batches: Sequence[Mapping[str, np.ndarray]]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        return next(self.batches, None)

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        return self.batches

    def __next__(self) -> Mapping[str, np.ndarray]:
        return next(self.batches)


def write_backend_graph(source: Path, target: Path, backend: Runtime, precision: Precision) -> None:
    """Write the graph of a backend and precision.

    Args:
        source: the ONNX graph: int8 for that precision, else float32.
        target: the file.
        backend, precision: those of the export.

    Raises:
        UnsupportedBackend: OpenVINO lacks an operator of the graph.
    """
    if backend == "openvino":
        import openvino

        try:
            model = openvino.Core().read_model(source)
            openvino.save_model(model, target, compress_to_fp16=precision == "fp16")
        except Exception as error:  # classes of its own
            raise errors.UnsupportedBackend(f"OpenVINO cannot convert this graph: {_describe_cause(error)}") from error
    elif precision == "fp16":
        store_half(source, target)
    else:
        write_graph(onnx.load(source), target)


class TracedNetwork(torch.nn.Module):
    """A network with the adapters after it, if any: its output is in the space of the last one."""

    def __init__(self, module: torch.nn.Module, adapters: Sequence[Adapter]) -> None:
        super().__init__()
        self.module, self.adapters = module, tuple(adapters)

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Map inputs of the network to (n, d), not of norm 1."""
        vectors = self.module(*inputs)
        for adapter in self.adapters:
            vectors = adapter.map_tensor(torch.nn.functional.normalize(vectors, dim=1))
        return vectors


def _describe_cause(error: BaseException) -> str:
    """Return the first line of the innermost error."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()[:200] if lines else ''}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the progress, logs and warnings of the exporters."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
