"""`TorchEncoder`: an encoder whose weights are a torch module. Importing this module imports torch."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from anybind.embeddings import normalize
from anybind.encoder import Encoder
from anybind.inference import FP32
from anybind.low_precision import LowPrecision, check_precision, lock_module
from anybind.space import Space
from anybind.tensors import check_state, hash_state
from anybind.weights import read_encoder_weights, write_encoder_weights


class TorchEncoder(Encoder):
    """An encoder on a torch module. A subclass creates the module and implements `preprocess`.

    Attributes:
        module: maps a batch of inputs to (n, d) features, not yet of norm 1. Trainable: `features` keeps gradients.
    """

    _low_precision: LowPrecision | None = None

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        modality: str,
        space: Space,
        preprocessing: Mapping[str, object],
        logit_scale: float | None = None,
    ) -> None:
        self.module = module.eval()
        self.modality = modality
        self.space = space
        self.logit_scale = logit_scale
        self._preprocessing = dict(preprocessing)
        self._weights_hash: tuple[torch.nn.Module, object, str] | None = None

    @property
    def preprocessing(self) -> Mapping[str, object]:
        return self._preprocessing

    @property
    def weights_hash(self) -> str:
        """Hash of all weights, computed again after a change.

        Changes through `.data`, which torch does not count, are not detected; those of an optimiser's step are.
        """
        with contextlib.nullcontext() if self._low_precision is None else lock_module(self.module):
            return self._hash_weights()

    def _hash_weights(self) -> str:
        state = self.module.state_dict()
        if any(tensor.is_inference() for tensor in state.values()):  # torch counts no changes of inference tensors
            return hash_state(state)
        versions = [(name, tensor.data_ptr(), tensor.dtype, tensor._version) for name, tensor in state.items()]
        cached = self._weights_hash
        if cached is None or cached[0] is not self.module or cached[1] != versions:
            # A reference to the module, so that the memory of a replaced module cannot be reused at the same address.
            self._weights_hash = cached = (self.module, versions, hash_state(state))
        return cached[2]

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.module.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Move the weights to a device, and return the encoder."""
        self.module.to(device)
        return self

    def set_precision(self, precision: str) -> Self:
        """Compute in `fp32`, `bf16` or `fp16`, by autocast, with converted weights of matrix products.

        The module keeps its float32 weights, and `weights_hash` is of these.

        Raises:
            BadOption: the device does not support the precision.
        """
        check_precision(precision, self.device)
        self._low_precision = None if precision == FP32 else LowPrecision(precision)
        self.precision = precision
        return self

    def copy(self) -> Self:
        """Return an encoder with a copy of the weights."""
        twin = copy.copy(self)
        twin.module = copy.deepcopy(self.module)
        twin._weights_hash = None
        twin.precision, twin._low_precision = FP32, None
        return twin

    def collate(self, inputs: Sequence[Any]) -> Any:
        """Collate preprocessed samples to a batch for the module; by default, stack tensors or arrays."""
        return torch.stack([torch.as_tensor(each) for each in inputs]).to(self.device)

    def features(self, batch: Any) -> torch.Tensor:
        """Compute the module's (n, d) output for a collated batch, with gradients, not of norm 1."""
        return self.module(batch)

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        return normalize(self.encode_raw(inputs), f"{self.modality} embedding")

    def encode_raw(self, inputs: Sequence[Any]) -> np.ndarray:
        """Encode a batch of preprocessed samples to (n, d) float32 vectors as the module gives them, not of norm 1."""
        # Module by module, since a training run may keep some of them, such as batch norms, in eval mode.
        modes = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        try:
            if self._low_precision is None:
                return self._compute(inputs)
            with self._low_precision.apply(self.module):
                return self._compute(inputs)
        finally:
            for part, was_training in modes:
                part.training = was_training

    def _compute(self, inputs: Sequence[object]) -> np.ndarray:
        with torch.inference_mode():
            return self.features(self.collate(inputs)).float().cpu().numpy()

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file of the weights, with the space and the preprocessing in its card.

        Raises:
            BadInput: the file cannot be written.
        """
        write_encoder_weights(path, self.module.state_dict(), self.space, self.modality, self._preprocessing)

    def load_weights(self, path: str | os.PathLike[str]) -> Self:
        """Load the weights of a file that `save_weights` wrote, and return the encoder.

        Raises:
            BadInput: the file is missing, truncated, or not a safetensors file.
            WeightsMismatch: the file is of another model or space, or its preprocessing differs or is missing. The
                encoder then keeps its weights.
        """
        state = read_encoder_weights(path, self.space, self.modality, self._preprocessing, framework="torch")
        check_state(Path(path), state, self.module.state_dict())
        self.module.load_state_dict(state)
        return self
