"""Checks of encoders; those that derive from `TorchEncoder` are checked for weights, devices and weight files too."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np

from anybind.embeddings import UNIT_TOLERANCE
from anybind.encoder import Encoder
from anybind.errors import BadInput, WeightsMismatch
from anybind.tables import hash_settings
from anybind.testing.assertions import (
    BATCH_TOLERANCE,
    SAME_TOLERANCE,
    Skip,
    assert_array,
    assert_close,
    assert_finite,
    assert_hash,
    assert_json,
    assert_refused,
    assert_spaces,
    assert_spec,
    assert_texts,
    describe_sample,
    find_installed_modality,
    is_equal,
)
from anybind.testing.checks import Case, Checks, computed_once

if TYPE_CHECKING:
    from anybind.torch_encoder import TorchEncoder

CHECKS = Checks(needs=("samples",))
DEVICE_TOLERANCE = 2e-3
"""Allowed difference to another device, whose matrix products may be of a lower precision."""


def encode_samples(case: Case[Encoder], samples: Sequence[object]) -> np.ndarray:
    """Preprocess samples and encode them as one batch, (n, d)."""
    return case.part.encode([case.part.preprocess(sample) for sample in samples])


def assert_encodes(case: Case[Encoder], expected: np.ndarray, tolerance: float, what: str) -> None:
    """Fail unless the samples, encoded again, have the expected embeddings, (n, d)."""
    assert_close(encode_samples(case, case.example.samples), expected, tolerance, what)


@computed_once
def get_preprocessing_hash(case: Case[Encoder]) -> str:
    """Hash the preprocessing, which is a part of the identity."""
    return hash_settings(dict(case.part.preprocessing))


def is_torch_encoder(case: Case[Encoder]) -> bool:
    """Return whether the encoder derives from `TorchEncoder`, without importing torch for one that does not."""
    loaded = sys.modules.get("anybind.torch_encoder")
    return loaded is not None and isinstance(case.part, loaded.TorchEncoder)


@CHECKS.add("set `modality` (a name) and `space` (an anybind.Space) in the constructor, as the spec says")
def check_modality_and_space(case: Case[Encoder]) -> None:
    assert_texts(case.part, "modality")
    assert_spaces(case.part, "space")
    assert_spec(case.spec, modality=case.part.modality, space=case.part.space.name)


@CHECKS.add("set `logit_scale` to the factor that the encoder was trained with, above 0, or leave it None")
def check_logit_scale(case: Case[Encoder]) -> None:
    scale = case.part.logit_scale
    valid = scale is None or (isinstance(scale, int | float) and 0 < scale < float("inf"))
    assert valid, f"logit_scale is {scale!r}"


@CHECKS.add("return from `preprocessing` strings, numbers, lists and tables: all that shapes the input of the weights")
def check_preprocessing(case: Case[Encoder]) -> None:
    preprocessing = dict(case.part.preprocessing)
    assert preprocessing, "preprocessing is empty, so the identity would not depend on it"
    assert_json(preprocessing, "preprocessing")


@CHECKS.add("return `weights_hash` as 12 hexadecimal digits (`plugin.tensors.hash_state`); inherit `identity`")
def check_identity(case: Case[Encoder]) -> None:
    assert_hash(case.part.weights_hash, "weights_hash")
    settings, identity = get_preprocessing_hash(case), case.part.identity
    assert identity == case.part.identity, "identity changes from one access to the next"
    complete = case.part.weights_hash in identity and settings in identity
    assert complete, f"identity {identity!r} does not contain the hashes of weights and preprocessing"


@CHECKS.add("make preprocess and encode work on every sample that the modality accepts")
def check_embeds_its_samples(case: Case[Encoder]) -> np.ndarray:
    return assert_array(encode_samples(case, case.example.samples), "encode", len(case.example.samples), None)


get_embeddings = computed_once(check_embeds_its_samples, "embedding")


@CHECKS.add("return (number of samples, space.dim) from encode; make `space` agree with the weights")
def check_dimension(case: Case[Encoder]) -> None:
    width, space = get_embeddings(case).shape[1], case.part.space
    assert width == space.dim, f"encode returns {width} dimensions, and the space is {space}"


@CHECKS.add("end encode with `anybind.normalize(vectors)`, which returns float32")
def check_dtype(case: Case[Encoder]) -> None:
    assert get_embeddings(case).dtype == np.float32, f"encode returns {get_embeddings(case).dtype}"


@CHECKS.add("fix divisions by zero and overflows; raise BadInput for a sample without an embedding")
def check_finite(case: Case[Encoder]) -> None:
    assert_finite(get_embeddings(case), "the embeddings of samples")


@CHECKS.add("end encode with `anybind.normalize(vectors)`")
def check_unit_norm(case: Case[Encoder]) -> None:
    vectors = get_embeddings(case)
    norms = np.linalg.norm(vectors[np.isfinite(vectors).all(1)].astype(np.float64), axis=1)
    far = norms[np.abs(norms - 1) > UNIT_TOLERANCE]
    assert not far.size, f"norms are {', '.join(f'{norm:.5g}' for norm in far[:3])}, not 1"


@CHECKS.add("use no random crop, dropout or noise in preprocess and encode; use the module in eval mode")
def check_deterministic(case: Case[Encoder]) -> np.ndarray:
    assert_encodes(case, get_embeddings(case), SAME_TOLERANCE, "the same samples, embedded twice")
    return get_embeddings(case)


get_deterministic_embeddings = computed_once(check_deterministic, "deterministic embedding")


@CHECKS.add("copy a sample before changing it in place")
def check_leaves_samples_unchanged(case: Case[Encoder]) -> None:
    get_embeddings(case)
    for sample in case.example.samples:
        before = copy.deepcopy(sample)
        encode_samples(case, [sample])
        assert is_equal(before, sample), f"the sample ({describe_sample(sample)}) was changed"


@CHECKS.add("encode samples independently: no batch statistics, no attention to padding")
def check_batch_invariance(case: Case[Encoder]) -> None:
    vectors, samples = get_deterministic_embeddings(case), case.example.samples
    if len(samples) < 2:
        raise Skip("needs two samples")
    alone = np.concatenate([encode_samples(case, [sample]) for sample in samples])
    assert_close(alone, vectors, BATCH_TOLERANCE, "one by one and in one batch")
    assert_close(encode_samples(case, samples[::-1])[::-1], vectors, BATCH_TOLERANCE, "in order and in reverse order")


@CHECKS.add("check that preprocess keeps the content and that the weights are loaded")
def check_distinguishes_samples(case: Case[Encoder]) -> None:
    samples = case.example.samples
    if all(is_equal(samples[0], sample) for sample in samples):
        raise Skip("needs two samples that differ")
    spread = np.abs(get_embeddings(case) - get_embeddings(case)[:1]).max()
    assert not spread <= SAME_TOLERANCE, "all samples, which differ, have one embedding"


@CHECKS.add("keep no state between calls of preprocess")
def check_threads(case: Case[Encoder]) -> None:
    vectors, samples = get_deterministic_embeddings(case), case.example.samples
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(case.part.preprocess, [*samples] * 4))
    for start in range(0, len(prepared), len(samples)):
        threaded = case.part.encode(prepared[start : start + len(samples)])
        assert_close(threaded, vectors, BATCH_TOLERANCE, "preprocessed in threads and one after the other")


@CHECKS.add("raise BadInput with the reason in the modality's check or in preprocess")
def check_refuses_wrong_samples(case: Case[Encoder]) -> None:
    for wrong in (None, object(), *case.example.wrong):
        attempt = f"a wrong sample ({describe_sample(wrong)})"
        assert_refused(lambda wrong=wrong: _check_and_encode(case, wrong), attempt)


def _check_and_encode(case: Case[Encoder], sample: object) -> None:
    """Check a sample by its modality, if that is installed, and encode it."""
    modality = find_installed_modality(case.part.modality)
    if modality is not None:
        if not modality.accepts(sample):
            raise BadInput("it is of another modality")
        modality.check(sample)
    encode_samples(case, [sample])


@CHECKS.add("return the encoder from `to`")
def check_to_returns_the_encoder(case: Case[Encoder]) -> None:
    assert case.part.to("cpu") is case.part, "to('cpu') does not return the encoder"


@CHECKS.add("move all weights in `to`; put the batch on `self.device` in collate", applies=is_torch_encoder)
def check_device(case: Case[TorchEncoder]) -> None:
    import torch  # the encoder has imported it

    vectors, tolerances = get_deterministic_embeddings(case), {"cpu": BATCH_TOLERANCE}
    if torch.cuda.is_available():
        tolerances["cuda"] = DEVICE_TOLERANCE
    try:
        for device, tolerance in tolerances.items():
            current = case.part.to(device).device
            assert current.type == device, f"after to({device!r}) the weights are on {current}"
            assert_encodes(case, vectors, tolerance, f"before and after to({device!r})")
    finally:
        case.part.to("cpu")


@CHECKS.add("restore the module's training mode after encode; inherit `TorchEncoder.encode`", applies=is_torch_encoder)
def check_training_mode(case: Case[TorchEncoder]) -> None:
    encoder, vectors = case.part, get_deterministic_embeddings(case)
    before = encoder.module.training
    encoder.module.train()
    try:
        in_training = encode_samples(case, case.example.samples)
        assert encoder.module.training, "after encode the module is no longer in training mode"
    finally:
        encoder.module.train(before)
        encoder.module.eval()
    assert_close(in_training, vectors, BATCH_TOLERANCE, "embedded in training mode and in eval mode")


@CHECKS.add(
    "hash all weights: inherit `TorchEncoder.weights_hash`, or use `plugin.tensors.hash_state`",
    applies=is_torch_encoder,
)
def check_identity_follows_weights(case: Case[TorchEncoder]) -> None:
    before = case.part.weights_hash
    with perturb_weights(case.part):
        assert case.part.weights_hash != before, f"other weights have the same weights_hash, {before!r}"
    assert case.part.weights_hash == before, "with the first weights restored, weights_hash differs"


@CHECKS.add("keep every weight in `module`, so that save_weights and load_weights see it", applies=is_torch_encoder)
def check_weights_round_trip(case: Case[TorchEncoder]) -> None:
    encoder, vectors = case.part, get_deterministic_embeddings(case)
    get_preprocessing_hash(case)  # the file's card holds the preprocessing
    before, path = encoder.weights_hash, case.folder / "weights.safetensors"
    encoder.save_weights(path)
    with perturb_weights(encoder):
        with suppress(BadInput):  # perturbed weights may give a zero vector
            unused = np.array_equal(encode_samples(case, case.example.samples), vectors, equal_nan=True)
            assert not unused, "other weights in `module` give the same embeddings: they are not used"
        assert encoder.load_weights(path) is encoder, "load_weights does not return the encoder"
        assert encoder.weights_hash == before, "after load_weights weights_hash differs"
        assert_encodes(case, vectors, BATCH_TOLERANCE, "before save_weights and after load_weights")


@CHECKS.add(
    "inherit `TorchEncoder.load_weights`: it checks names, shapes, space and preprocessing", applies=is_torch_encoder
)
def check_refuses_other_weight_files(case: Case[TorchEncoder]) -> None:
    from safetensors.torch import save_file

    path = case.folder / "bare.safetensors"
    save_file(
        {key: tensor.detach().clone().contiguous() for key, tensor in case.part.module.state_dict().items()}, path
    )
    what = "a weight file without the preprocessing that its weights need"
    assert_refused(lambda: case.part.load_weights(path), what, WeightsMismatch)


@contextmanager
def perturb_weights(encoder: TorchEncoder) -> Iterator[None]:
    """Change all weights slightly, and restore them at the end of the block."""
    own = {name: tensor.detach().clone() for name, tensor in encoder.module.state_dict().items()}
    if not any(tensor.is_floating_point() for tensor in own.values()):
        raise Skip("it has no floating-point weights")
    changed = {name: tensor * 1.5 + 0.01 if tensor.is_floating_point() else tensor for name, tensor in own.items()}
    try:
        encoder.module.load_state_dict(changed)
        yield
    finally:
        encoder.module.load_state_dict(own)
