"""`OnnxEncoder`: an encoder whose network is an ONNX graph. It needs no torch."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from anybind.embeddings import normalize
from anybind.encoder import Encoder
from anybind.errors import BadOption
from anybind.onnx_network import OnnxNetwork, check_runtime
from anybind.space import Space
from anybind.tensors import hash_state
from anybind.weights import read_encoder_weights


class OnnxEncoder(Encoder):
    """An encoder on an ONNX graph: the counterpart of a `TorchEncoder` with the same weights and preprocessing.

    Both give the same embeddings to 1e-4, hence they have the same identity.

    Attributes:
        network: maps a batch of inputs to (n, d) features, not yet of norm 1.
        weights: the state dict of the torch encoder's module, as arrays in float32, which the network shares; empty if
            they are in the graph's file.
    """

    def __init__(
        self,
        graph: str | os.PathLike[str] | OnnxNetwork,
        weights: str | os.PathLike[str] | Mapping[str, np.ndarray],
        *,
        modality: str,
        space: Space,
        preprocessing: Mapping[str, object],
        logit_scale: float | None = None,
        runtime: str = "onnx",
        sizes: Mapping[str, int] | None = None,
        prefix: str = "",
        weights_hash: str = "",
        lazy: bool = False,
    ) -> None:
        """Load an encoder.

        Args:
            graph: an ONNX file, or the network of another encoder.
            weights: a file of `TorchEncoder.save_weights`, or the weights of another encoder.
            modality: modality of the samples.
            space: space of the embeddings.
            preprocessing: everything that shapes the input, as that of the torch encoder.
            logit_scale: factor of the softmax over similarities.
            runtime: `onnx` for ONNX Runtime, `openvino` for OpenVINO.
            sizes: values of the graph's symbolic dimensions, which make it faster.
            prefix: beginning of the names of the graph's weights.
            weights_hash: hash of the weights of a graph with weights in its file. [default: computed]
            lazy: load the graph at its first use: for files that belong to a package.

        Raises:
            MissingExtra: the runtime is not installed.
            BadInput: a file is missing, truncated or of another format, or has an operator without support.
            WeightsMismatch: the weights are of another network, space, modality or preprocessing.
        """
        origin = "" if isinstance(weights, Mapping) else weights
        if not isinstance(weights, Mapping):
            weights = _as_float32(read_encoder_weights(weights, space, modality, preprocessing))
        if not isinstance(graph, OnnxNetwork):
            own = {name: array for name, array in weights.items() if name.startswith(prefix)}
            graph = OnnxNetwork(graph, own, runtime=check_runtime(runtime), sizes=sizes, origin=origin, lazy=lazy)
        self.network, self.weights = graph, weights
        self.modality, self.space, self.logit_scale = modality, space, logit_scale
        self._preprocessing, self._stated_hash = dict(preprocessing), weights_hash

    @property
    def preprocessing(self) -> Mapping[str, object]:
        return self._preprocessing

    @functools.cached_property
    def weights_hash(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Hash of all weights, that of the torch encoder."""
        return self._stated_hash or hash_state(self.weights)

    def to(self, device: str) -> Self:
        """Return the encoder; raise `BadOption` unless the device is the CPU."""
        if device.partition(":")[0] != "cpu":
            raise BadOption(f"ONNX graphs run on cpu here, not on {device}; use the backend torch")
        return self

    def collate(self, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
        """Collate preprocessed samples to arrays, (n, ...), by input of the graph; by default, for its only one."""
        (name,) = self.network.inputs
        return {name: np.stack([np.asarray(each) for each in inputs])}

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        return normalize(self.encode_raw(inputs), f"{self.modality} embedding")

    def encode_raw(self, inputs: Sequence[Any]) -> np.ndarray:
        """Encode a batch of preprocessed samples to (n, d) float32 vectors as the graph gives them, not of norm 1."""
        return self.network(self.collate(inputs))


def _as_float32(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert float arrays to float32, the precision in which networks compute."""
    return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in weights.items()}
