"""Checks of adapters, on random unit vectors of the source space."""

from __future__ import annotations

import copy
import functools
import importlib.util
from dataclasses import replace

import numpy as np

from anybind.adapter import Adapter
from anybind.embeddings import Embeddings, unit
from anybind.errors import BadOption, SpaceMismatch
from anybind.space import Space
from anybind.spec import AdapterSpec
from anybind.testing.checks import (
    BATCH_TOLERANCE,
    SAME_TOLERANCE,
    Case,
    Checks,
    Skip,
    assert_close,
    assert_hash,
    shared,
)
from anybind.testing.perturbation import perturb_state

CHECKS = Checks()
ROWS = 5


@shared
def source_embeddings(case: Case[Adapter]) -> Embeddings:
    """Random embeddings of the source space, always the same."""
    source = case.part.source
    random = np.random.default_rng(0).standard_normal((ROWS, source.dim))
    ids = tuple(f"vector {number}" for number in range(ROWS))
    return Embeddings(unit(random), source, "anything", ids, "random", 100.0)


@shared
def array_of_mapped_vectors(case: Case[Adapter]) -> np.ndarray:
    """What `map` returns for them."""
    vectors = case.part.map(source_embeddings(case).vectors)
    rows = isinstance(vectors, np.ndarray) and vectors.ndim == 2 and len(vectors) == ROWS
    assert rows, "map does not return one row per vector"
    return vectors


@CHECKS.add("set `source` and `target`, each an anybind.Space, as the spec's source and space say")
def check_spaces(case: Case[Adapter]) -> None:
    for role in ("source", "target"):
        space = getattr(case.part, role, None)
        assert isinstance(space, Space) and space.name and space.dim > 0, f"{role} is {space!r}"
    if isinstance(case.spec, AdapterSpec):
        source, target, spec = case.part.source.name, case.part.target.name, case.spec
        assert spec.source in ("", source), f"spec.source is {spec.source!r} and source is {source!r}"
        assert spec.space in ("", target), f"spec.space is {spec.space!r} and target is {target!r}"


@CHECKS.add("make `map` take (n, source.dim) float32 vectors and return a NumPy array of n rows")
def check_maps_vectors(case: Case[Adapter]) -> None:
    vectors = case.part.map(source_embeddings(case).vectors)
    assert isinstance(vectors, np.ndarray), f"map returns a {type(vectors).__name__}, not a NumPy array"
    assert vectors.ndim == 2 and len(vectors) == ROWS, f"map returns shape {vectors.shape} for {ROWS} vectors"


@CHECKS.add("return (n, target.dim) from `map`; set `target` to the space that the vectors are in")
def check_target_dimension(case: Case[Adapter]) -> None:
    width, target = array_of_mapped_vectors(case).shape[1], case.part.target
    assert width == target.dim, f"map returns {width} dimensions, and the target is {target}"


@CHECKS.add("find what divides by zero or overflows")
def check_finite(case: Case[Adapter]) -> None:
    assert np.isfinite(array_of_mapped_vectors(case)).all(), "map returns NaN or infinity"


@CHECKS.add("use no randomness in `map`")
def check_deterministic(case: Case[Adapter]) -> None:
    mapped = array_of_mapped_vectors(case)
    assert_close(case.part.map(source_embeddings(case).vectors), mapped, SAME_TOLERANCE, "the same vectors, twice")


@shared
def deterministic_map(case: Case[Adapter]) -> np.ndarray:
    """What `map` returns, where it is the same each time."""
    check_deterministic(case)
    return array_of_mapped_vectors(case)


@CHECKS.add("map each row by itself: take no mean or norm over the batch")
def check_batch_invariance(case: Case[Adapter]) -> None:
    vectors, mapped = source_embeddings(case).vectors, deterministic_map(case)
    scale = max(1.0, float(np.nanmax(np.abs(mapped))))
    alone = np.concatenate([case.part.map(vectors[row : row + 1]) for row in range(ROWS)])
    assert_close(alone, mapped, BATCH_TOLERANCE * scale, "one by one and in one batch")


@CHECKS.add("make `map` return shape (0, target.dim) for shape (0, source.dim)")
def check_maps_no_rows(case: Case[Adapter]) -> None:
    mapped = case.part.map(source_embeddings(case).vectors[:0])
    assert mapped.shape == (0, case.part.target.dim), f"no vectors become shape {mapped.shape}"


@CHECKS.add("return `identity` as 12 hexadecimal digits, a hash of all that shapes the output")
def check_identity(case: Case[Adapter]) -> None:
    assert_hash(case.part.identity, "identity")
    assert case.part.identity == case.part.identity, "identity changes from one access to the next"


@CHECKS.add(
    "hash every array and constant that `map` uses when `identity` is read; a `functools.cached_property` may keep it"
)
def check_identity_follows_state(case: Case[Adapter]) -> None:
    vectors, mapped = source_embeddings(case).vectors, deterministic_map(case)
    twin, identity = copy.deepcopy(case.part), case.part.identity
    held = {name: value for owner in type(twin).__mro__[::-1] for name, value in vars(owner).items()}
    caches = [name for name, value in held.items() if isinstance(value, functools.cached_property)]
    for what in perturb_state(twin, Adapter):
        for name in caches:
            vars(twin).pop(name, None)
        try:
            unused = np.array_equal(twin.map(vectors), mapped, equal_nan=True)
        except Exception:  # values that no one fitted may not be mapped at all
            unused = False
        assert unused or twin.identity != identity, f"with {what} changed, `identity` stays the same"


@shared
def array_of_valid_vectors(case: Case[Adapter]) -> np.ndarray:
    """What `map` returns, where it is finite and of the target's dimension."""
    mapped = array_of_mapped_vectors(case)
    assert mapped.shape[1] == case.part.target.dim and np.isfinite(mapped).all(), "they cannot be embeddings"
    return mapped


@CHECKS.add("implement `map` and inherit `__call__`: it scales to norm 1 and keeps the ids")
def check_adapts_embeddings(case: Case[Adapter]) -> None:
    array_of_valid_vectors(case)
    given = source_embeddings(case)
    adapted = case.part(given)
    kept = (adapted.ids, adapted.modality, adapted.logit_scale) == (given.ids, given.modality, given.logit_scale)
    assert kept, "ids, modality or logit scale changed"
    assert adapted.space == case.part.target, f"the embeddings are in {adapted.space}"
    assert case.part.identity in adapted.encoder, "the adapter's identity is not in the embeddings' `encoder`"


@CHECKS.add("inherit `__call__`: it checks the space")
def check_refuses_another_space(case: Case[Adapter]) -> None:
    other = replace(source_embeddings(case), space=replace(case.part.source, name="some-other-space"))
    try:
        case.part(other)
    except SpaceMismatch:
        return
    raise AssertionError("it accepts embeddings of another space")


@CHECKS.add(
    "make `map_tensor` compute what `map` does, with torch; or inherit it",
    applies=lambda case: type(case.part).map_tensor is not Adapter.map_tensor,
)
def check_gradients(case: Case[Adapter]) -> None:
    if importlib.util.find_spec("torch") is None:
        raise Skip("torch is not installed")
    import torch

    vectors, mapped = torch.tensor(source_embeddings(case).vectors, requires_grad=True), array_of_mapped_vectors(case)
    try:
        result = case.part.map_tensor(vectors)
    except BadOption as error:
        raise Skip("it passes no gradients") from error
    assert result.requires_grad, "map_tensor passes no gradients"
    scale = max(1.0, float(np.abs(mapped).max()))
    assert_close(result.detach().numpy(), mapped, 1e-4 * scale, "map and map_tensor")
