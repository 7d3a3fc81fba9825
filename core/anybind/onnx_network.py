"""`OnnxNetwork`: an ONNX graph on ONNX Runtime or OpenVINO, with its weights in the graph's file or beside it."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from anybind.errors import BadInput, BadOption, MissingExtra, WeightsMismatch
from anybind.files import check_input
from anybind.onnx_files import check_external_data

if TYPE_CHECKING:
    import openvino

Runtime = Literal["onnx", "openvino"]
Shape = tuple[int | str | None, ...]
RUNTIMES: tuple[Runtime, ...] = ("onnx", "openvino")
PACKAGES = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino", "openvino")}
"""Package and extra of each runtime."""
SEPARATE = "weights"
"""Location of the external data of a graph without weights, which are given when it is loaded."""


class OnnxNetwork:
    """An ONNX graph, usually with one output, (n, d).

    Attributes:
        graph: the graph's file.
        runtime: `onnx` for ONNX Runtime, `openvino` for OpenVINO.
    """

    def __init__(
        self,
        graph: str | os.PathLike[str],
        weights: Mapping[str, np.ndarray] | None = None,
        *,
        runtime: Runtime = "onnx",
        sizes: Mapping[str, int] | None = None,
        origin: str | os.PathLike[str] = "",
        lazy: bool = False,
    ) -> None:
        """Load a graph.

        Args:
            graph: an ONNX file, or OpenVINO's `.xml` with the `.bin` beside it.
            weights: float32 arrays by name, of any shape, for a graph whose weights are in another file (see
                `SEPARATE`); others are left out.
            runtime: `onnx` or `openvino`.
            sizes: values of the graph's symbolic dimensions, which make it faster.
            origin: the file of the weights, for messages.
            lazy: load the graph at its first use, with the errors of loading: for files that belong to a package.

        Raises:
            MissingExtra: the runtime is not installed.
            BadInput: the graph cannot be read, has an operator that the runtime does not support, or names external
                data outside its folder.
            WeightsMismatch: the weights are of another network.
        """
        self.graph, self.runtime, self.sizes = Path(graph), runtime, dict(sizes or {})
        check_input(graph, folders=False)
        if self.graph.suffix != ".xml":  # its weights are in the .bin of the same name
            check_external_data(graph)
        package, extra = PACKAGES[runtime]
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f"the backend {runtime!r} needs {package}: pip install 'anybind[{extra}]'")
        # ONNX Runtime reads the arrays where they are.
        self._weights = {name: each for name, each in (weights or {}).items() if each.dtype == np.float32}
        self._origin = origin or graph
        if not lazy:
            _ = self._session

    def __getstate__(self) -> dict[str, object]:
        """Return the state without the runtime's session, which a copy loads again at its first use."""
        return {name: value for name, value in vars(self).items() if name != "_session"}

    @functools.cached_property
    def _session(self) -> Any:
        load = _load_onnx if self.runtime == "onnx" else _load_openvino
        try:
            return load(self.graph, self._weights, self.sizes)
        except ModuleNotFoundError as error:
            package, extra = error.name, PACKAGES[self.runtime][1]
            message = f"the backend {self.runtime!r} needs {package}: pip install 'anybind[{extra}]'"
            raise MissingExtra(message) from error
        except Exception as error:  # the runtimes raise classes of their own
            # ONNX Runtime begins with codes and the path.
            reason = " ".join(str(error).split()).rpartition(" failed:")[2][:200]
            if self._weights:
                message = f"{self._origin}: not weights of the network {self.graph.name}: {reason}"
                raise WeightsMismatch(message) from error
            raise BadInput(f"{self.graph}: {self.runtime} cannot load this network: {reason}") from error

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the graph's inputs."""
        return self._session.inputs

    @property
    def shapes(self) -> tuple[dict[str, Shape], dict[str, Shape]]:
        """Shapes of the graph's inputs and outputs, by name; a symbolic dimension is a text, or None without a name."""
        return self._session.shapes

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run the graph on arrays by input name, and return its output, (n, d) float32."""
        return self._session.run(inputs)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a graph with several outputs, and return them by name.

        Raises:
            BadInput: the arrays do not fit the graph.
        """
        try:
            return self._session.run_all(inputs)
        except Exception as error:  # the runtimes raise classes of their own
            reason = " ".join(str(error).split())[-200:]
            raise BadInput(f"{self.graph}: {self.runtime} cannot run this network: {reason}") from error


class _OnnxSession:
    def __init__(self, session: Any, values: Sequence[object]) -> None:
        self.session, self.values = session, values
        self.inputs = tuple(each.name for each in session.get_inputs())

        self.shapes = tuple(
            {each.name: tuple(each.shape) for each in ports} for ports in (session.get_inputs(), session.get_outputs())
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return self.session.run(None, dict(inputs))[0]

    def run_all(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.shapes[1], self.session.run(None, dict(inputs)), strict=True))


def _load_onnx(graph: Path, weights: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> _OnnxSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_threads()
    options.log_severity_level = 4
    # Threads that wait busily take the time of those that read files, and of other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in weights.values()]
    if weights:
        options.add_external_initializers(list(weights), values)
    return _OnnxSession(onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"]), values)


class _OpenVinoSession:
    def __init__(self, model: openvino.CompiledModel) -> None:
        self.model = model
        self.inputs = tuple(each.get_any_name() for each in model.inputs)
        self.shapes = tuple(
            {each.get_any_name(): tuple(_read_dimension(size) for size in each.partial_shape) for each in ports}
            for ports in (model.inputs, model.outputs)
        )

    def run(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.array(self.model(dict(inputs))[0], np.float32)

    def run_all(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self.model(dict(inputs))
        return {each.get_any_name(): np.array(outputs[each]) for each in self.model.outputs}


def _read_dimension(size: openvino.Dimension) -> int | None:
    return None if size.is_dynamic else size.get_length()


def _load_openvino(graph: Path, weights: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> _OpenVinoSession:
    import openvino

    core = openvino.Core()
    model = core.read_model(_embed_weights(graph, weights) if weights else graph)
    if sizes:
        model.reshape(
            {
                port.get_any_name(): [
                    sizes.get(str(each).strip("?"), -1) if each.is_dynamic else each for each in port.partial_shape
                ]
                for port in model.inputs
            }
        )
    # One precision for all processors: OpenVINO takes bfloat16 where there is hardware for it.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": count_threads()}
    return _OpenVinoSession(core.compile_model(model, "CPU", settings))


def _embed_weights(graph: Path, weights: Mapping[str, np.ndarray]) -> bytes:
    """Return the file of a graph with its weights inside; OpenVINO takes them from nowhere else."""
    import onnx

    model = onnx.load(graph, load_external_data=False)
    names = {each.name for each in model.graph.initializer if each.data_location == onnx.TensorProto.EXTERNAL}
    if names != weights.keys():
        raise ValueError(f"expected tensors {', '.join(sorted(names ^ weights.keys())[:3])}")
    for each in model.graph.initializer:
        if each.name in names:
            each.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(weights[each.name]), each.name))
    return model.SerializeToString()


def count_threads() -> int:
    """Return the number of threads for one network: `OMP_NUM_THREADS`, else the processors of this process."""
    number = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(number) if number.isdecimal() and int(number) else len(os.sched_getaffinity(0))


def check_runtime(name: str) -> Runtime:
    """Return a runtime's name; raise `BadOption` for another."""
    for each in RUNTIMES:
        if each == name:
            return each
    raise BadOption(f"expected the runtime {' or '.join(RUNTIMES)}, got {name!r}")
