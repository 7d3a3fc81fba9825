"""`TorchEncoder`: an encoder whose weights are a torch module. Importing this module imports torch."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from anybind.embeddings import normalize
from anybind.encoder import Encoder
from anybind.errors import WeightsMismatch
from anybind.space import Space
from anybind.tensors import InvalidCard, check_state, hash_state, read_tensors, write_tensors


class TorchEncoder(Encoder):
    """An encoder on a torch module. A plugin's tower gives the module and writes `preprocess`.

    Attributes:
        module: batch of inputs to (n, d) features, not yet of norm 1. Trainable: `features` keeps gradients.
    """

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
        """Hash of all weights; computed anew once they were changed.

        Changes that torch does not count, through `.data`, are not seen: read it after an optimiser's step,
        not after one by hand.
        """
        state = self.module.state_dict()
        if any(tensor.is_inference() for tensor in state.values()):  # these count no changes at all
            return hash_state(state)
        versions = [(name, tensor.data_ptr(), tensor.dtype, tensor._version) for name, tensor in state.items()]
        cached = self._weights_hash
        if cached is None or cached[0] is not self.module or cached[1] != versions:
            # The module is kept, so that the memory of one that was replaced cannot come back as another's.
            self._weights_hash = cached = (self.module, versions, hash_state(state))
        return cached[2]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.module.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Move the weights to a device, and return the tower."""
        self.module.to(device)
        return self

    def copy(self) -> Self:
        """A tower with weights of its own, equal to these now."""
        twin = copy.copy(self)
        twin.module = copy.deepcopy(self.module)
        twin._weights_hash = None
        return twin

    def collate(self, inputs: Sequence[Any]) -> Any:
        """Preprocessed samples to one batch for the module; stacks tensors unless a tower overrides it."""
        return torch.stack(list(inputs)).to(self.device)

    def features(self, batch: Any) -> torch.Tensor:
        """The module's (n, d) output for a collated batch, with gradients, not of norm 1."""
        return self.module(batch)

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        # Part by part, since a training run may keep some of them, such as batch norms, out of training.
        modes = [(part, part.training) for part in self.module.modules()]
        self.module.eval()
        try:
            with torch.inference_mode():
                vectors = self.features(self.collate(inputs)).float().cpu().numpy()
        finally:
            for part, was_training in modes:
                part.training = was_training
        return normalize(vectors, f"{self.modality} embedding")

    def save_weights(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file of the weights that carries the space and the preprocessing with them.

        Raises:
            BadInput: the file cannot be written.
        """
        card = {"space": vars(self.space), "modality": self.modality, "preprocessing": self._preprocessing}
        write_tensors(path, self.module.state_dict(), card)

    def load_weights(self, path: str | os.PathLike[str]) -> Self:
        """Take over the weights that `save_weights` wrote, and return the tower.

        Raises:
            BadInput: the file is missing, truncated, or no safetensors file.
            WeightsMismatch: the file is of another model or space, or its preprocessing differs or is
                missing. The tower keeps the weights it had.
        """
        path = Path(path)
        try:
            card, state = read_tensors(path, framework="torch")
        except InvalidCard as error:
            raise WeightsMismatch(
                f"{error}, so the preprocessing of its weights is unknown; save it with TorchEncoder.save_weights"
            ) from error
        try:
            space, modality, preprocessing = Space(**card["space"]), card["modality"], dict(card["preprocessing"])
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsMismatch(f"{path}: its card is not that of weights ({error})") from error
        if space != self.space:
            raise WeightsMismatch(f"{path} holds weights for {space}, not for {self.space}")
        if modality != self.modality:
            raise WeightsMismatch(f"{path} holds weights for {modality}, not for {self.modality}")
        expected = json.loads(json.dumps(self._preprocessing))
        differ = sorted(key for key in preprocessing | expected if preprocessing.get(key) != expected.get(key))
        if differ:
            there = ", ".join(f"{key}={preprocessing.get(key)!r}" for key in differ)
            raise WeightsMismatch(
                f"{path} was made with another preprocessing: {', '.join(differ)} differ ({there} there)"
            )
        check_state(path, state, self.module.state_dict())
        self.module.load_state_dict(state)
        return self
