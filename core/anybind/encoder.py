"""`Encoder`: maps samples of one modality to unit vectors in one space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from anybind.errors import BadOption, PluginError, UnsupportedBackend
from anybind.inference import FP32
from anybind.space import Space
from anybind.tables import hash_settings

if TYPE_CHECKING:
    from anybind.embeddings import Embeddings
    from anybind.exporting import ExportPlan


class Encoder(ABC):
    """A map from samples of one modality to vectors in one space, including the preprocessing.

    Encoders on torch derive from `anybind.plugin.TorchEncoder`, which does everything but the preprocessing.

    Attributes:
        modality: modality of the samples.
        space: space of the embeddings.
        logit_scale: factor of the softmax over similarities that the encoder was trained with, if any.
        reader_options: options for readers that take them, which save memory on large files and change an embedding by
            rounding only, such as `{"min_side": 1024}`. Not part of cache keys.
        precision: `fp32`, or the lower precision that it computes in; see `set_precision`.
        prompt_templates: templates that suit a text encoder, the default of zero-shot classification. [default:
            `anybind.plugin.prompts.DEFAULT_TEMPLATES`]
    """

    modality: str
    space: Space
    logit_scale: float | None = None
    reader_options: Mapping[str, object] = MappingProxyType({})
    prompt_templates: tuple[str, ...] = ()
    precision: str = FP32

    @property
    @abstractmethod
    def weights_hash(self) -> str:
        """Hash of all weights, 12 hexadecimal digits."""

    @property
    @abstractmethod
    def preprocessing(self) -> Mapping[str, object]:
        """Everything that shapes the input of the weights, JSON-like."""

    @property
    def identity(self) -> str:
        """Hashes of the weights and the preprocessing: encoders of one class and identity give equal vectors.

        A precision below `fp32` is a part of it.

        Raises:
            PluginError: the preprocessing has values of other than JSON types.
        """
        lossy = "" if self.precision == FP32 else f"-{self.precision}"
        try:
            return f"{self.weights_hash}-{hash_settings(dict(self.preprocessing))}{lossy}"
        except TypeError as error:  # NumPy's numbers and arrays are not JSON-like
            who = f"the {self.modality} encoder {type(self).__name__}"
            raise PluginError(f"{who}: expected a preprocessing of JSON types: {error}") from error

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        """Return options of the encoder with per-pixel event counts clamped at `clamp`.

        Raises:
            BadOption: it does not encode events, or its representation has no clamp.
        """
        raise BadOption(f"the encoder {cls.__name__} has no clamp of event counts")

    def with_labels(self, labels: Embeddings) -> Self:
        """Return an encoder for samples of these labels alone, in the space of `labels`; by default, itself.

        An encoder with a vocabulary, such as speech recognition, restricts it to them. Zero-shot classification calls
        this.

        Args:
            labels: embeddings of the labels, which are their ids.

        Raises:
            BadOption: the encoder cannot recognise a label.
        """
        return self

    def plan_export(self) -> ExportPlan:
        """Return the network and the preprocessing for an export to ONNX or OpenVINO.

        Raises:
            UnsupportedBackend: the encoder cannot be exported; by default, none can.
        """
        raise UnsupportedBackend(f"the encoder {type(self).__name__} cannot be exported: it has no plan_export")

    def to(self, device: str) -> Self:
        """Move the weights to a torch device; an encoder without torch stays on the CPU."""
        return self

    def set_precision(self, precision: str) -> Self:
        """Compute in this precision: `fp32`, `bf16` or `fp16`; an encoder without torch computes in `fp32` only.

        Raises:
            BadOption: the encoder or its device does not support the precision.
        """
        if precision != FP32:
            raise BadOption(
                f"the {self.modality} encoder {type(self).__name__} computes in {FP32} only, got {precision}"
            )
        return self

    def preprocess(self, sample: Any) -> Any:
        """Convert a sample to an input of the weights, on the CPU, deterministically. Called from several threads."""
        return sample

    @abstractmethod
    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        """Encode a batch of preprocessed samples to (n, d) float32 vectors of norm 1, the same in any batch to 1e-5."""
