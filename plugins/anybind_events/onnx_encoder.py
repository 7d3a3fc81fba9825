"""The event encoder on an ONNX graph: that of the image encoder, with weights of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from anybind import normalize
from anybind.plugin import Encoder, errors, export
from anybind_events.encoder_input import EventInput, clamp_options
from anybind_events.stream import EventStream


class OnnxEventEncoder(export.OnnxEncoder):
    """An event encoder on the ONNX graph of the image encoder that it is a copy of, as `EventEncoder` in torch."""

    def __init__(
        self,
        image_encoder: Encoder,
        *,
        representation: str = "paper",
        options: Mapping[str, object] | None = None,
        size: int = 0,
        direct: bool = False,
        windows: int = 1,
        weights: str | None = None,
        runtime: str = "onnx",
    ) -> None:
        """Load an event encoder; see `EventEncoder` for the arguments.

        Raises:
            UnsupportedBackend: the image encoder has no ONNX graph with separate weights, or the weights are of
                another network.
            BadOption: the options are not a table, the size is negative, or there is no window.
            BadInput, WeightsMismatch: the weights cannot be read, or are of another space or preprocessing.
        """
        if not isinstance(image_encoder, export.OnnxEncoder) or not image_encoder.weights:
            raise errors.UnsupportedBackend("the image encoder has no ONNX graph with separate weights")
        self.input = EventInput(image_encoder, representation, options, size, direct, windows)
        side = self.input.side
        try:
            super().__init__(
                image_encoder.network.graph,
                image_encoder.weights if weights is None else weights,
                modality="event",
                space=image_encoder.space,
                preprocessing=self.input.settings,
                logit_scale=image_encoder.logit_scale,
                runtime=runtime,
                sizes={"height": side, "width": side},
            )
        except errors.WeightsMismatch as error:  # the encoder in torch has better messages
            raise errors.UnsupportedBackend(str(error)) from error

    @classmethod
    def with_clamp(cls, options: Mapping[str, object], clamp: float) -> dict[str, object]:
        return clamp_options(options, clamp)

    def preprocess(self, sample: EventStream) -> np.ndarray:
        """Convert a recording to an input of the image encoder's graph, or to those of its windows."""
        return self.input.preprocess(sample)

    def encode_raw(self, inputs: Sequence[np.ndarray]) -> np.ndarray:
        """Encode recordings to (n, d) float32 vectors, with several windows the means of theirs, not of norm 1."""
        if self.input.windows == 1:
            return super().encode_raw(inputs)
        vectors = normalize(super().encode_raw(list(np.concatenate(list(inputs)))), "event embedding")
        return export.compute_shares(list(map(len, inputs))) @ vectors
