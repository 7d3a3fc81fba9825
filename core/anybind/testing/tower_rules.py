"""What encoders on torch are held to besides: devices, weight files, and an identity that follows the weights."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from anybind.errors import BadInput, WeightsMismatch
from anybind.testing.encoder_rules import BATCH_TOLERANCE, ENCODER_RULES, EncoderCase
from anybind.testing.rules import NotChecked, Seen, require, require_close

DEVICE_TOLERANCE = 2e-3
"""Of vectors by another device, whose matrix products may be of a lower precision."""

_rule = ENCODER_RULES.rule


@_rule(
    "moves to a device", "`to` must move all weights and return the tower; collate must put its batch on `self.device`"
)
def _device(case: EncoderCase) -> None:
    require(case.encoder.to("cpu") is case.encoder, "to('cpu') does not return the encoder")
    tower, vectors = case.tower(), case.steady()
    require(tower.device.type == "cpu", f"after to('cpu') the weights are on {tower.device}")
    require_close(case.encode(case.samples), vectors, BATCH_TOLERANCE, "before and after to('cpu')")
    import torch  # a tower has imported it

    if torch.cuda.is_available():
        try:
            require(tower.to("cuda").device.type == "cuda", "after to('cuda') the weights are elsewhere")
            require_close(case.encode(case.samples), vectors, DEVICE_TOLERANCE, "on cpu and on cuda")
        finally:
            tower.to("cpu")


@_rule("leaves the module's mode", "encode must put the module back into the mode it was in; inherit `Tower.encode`")
def _mode(case: EncoderCase) -> None:
    tower, vectors = case.tower(), case.steady()
    was = tower.module.training
    tower.module.train()
    try:
        trained = case.encode(case.samples)
        require(tower.module.training, "after encode the module is no longer in training")
    finally:
        tower.module.train(was)
        tower.module.eval()
    require_close(trained, vectors, BATCH_TOLERANCE, "embedded while training and while not")


@_rule(
    "identity follows the weights", "hash all weights: inherit `Tower.weights_hash`, or use anybind.state_hash(state)"
)
def _follows(case: EncoderCase) -> None:
    before = case.encoder.weights_hash
    with other_weights(case.tower()) as tower:
        require(tower.weights_hash != before, f"other weights have the same weights_hash, {before!r}")
    require(tower.weights_hash == before, "with the first weights again, weights_hash is another than at first")


@_rule("weights round trip", "keep every weight in `module`, so that save_weights and load_weights see it")
def _round_trip(case: EncoderCase) -> None:
    tower, vectors = case.tower(), case.steady()
    case.require_settings()
    before = tower.weights_hash
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        tower.save_weights(path)
        with other_weights(tower):
            require(not _gives(case, vectors), "other weights in `module` give the same vectors: it does not use them")
            require(tower.load_weights(path) is tower, "load_weights does not return the tower")
            require(tower.weights_hash == before, "after load_weights weights_hash is another")
            loaded = case.encode(case.samples)
    require_close(loaded, vectors, BATCH_TOLERANCE, "before save_weights and after load_weights")


def _gives(case: EncoderCase, vectors: np.ndarray) -> bool:
    """Whether it still gives these vectors, exactly."""
    try:
        return np.array_equal(case.encode(case.samples), vectors, equal_nan=True)
    except BadInput:  # weights that no one trained may lead to no direction at all
        return False


@_rule("refuses other weight files", "inherit `Tower.load_weights`: it checks names, shapes, space and preprocessing")
def _other_files(case: EncoderCase) -> None:
    tower = case.tower()
    from safetensors.torch import save_file

    state = {name: held.detach().clone().contiguous() for name, held in tower.module.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_file(state, path)
        try:
            tower.load_weights(path)
        except WeightsMismatch:
            return
    raise Seen("it takes a weight file that does not say which preprocessing its weights need")


@contextmanager
def other_weights(tower: Any) -> Iterator[Any]:
    """The tower with weights that all differ a little; when the block ends, it has its own again."""
    own = {name: held.detach().clone() for name, held in tower.module.state_dict().items()}
    changed = {name: held * 1.5 + 0.01 if held.is_floating_point() else held for name, held in own.items()}
    if not any(held.is_floating_point() for held in own.values()):
        raise NotChecked("it has no weights that could differ")
    try:
        tower.module.load_state_dict(changed)
        yield tower
    finally:
        tower.module.load_state_dict(own)
