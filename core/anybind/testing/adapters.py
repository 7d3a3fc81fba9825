"""Checks of adapters, on random unit vectors of the source space."""

from __future__ import annotations

import copy
import functools
import importlib.util
from dataclasses import replace

import numpy as np

from anybind.adapter import Adapter
from anybind.embeddings import Embeddings, normalize
from anybind.errors import BadOption, SpaceMismatch
from anybind.testing.assertions import (
    BATCH_TOLERANCE,
    SAME_TOLERANCE,
    Skip,
    assert_array,
    assert_close,
    assert_finite,
    assert_hash,
    assert_refused,
    assert_spaces,
    assert_spec,
)
from anybind.testing.checks import Case, Checks, computed_once
from anybind.testing.perturbation import perturb_state

CHECKS = Checks()
ROWS = 5


@computed_once
def get_source_embeddings(case: Case[Adapter]) -> Embeddings:
    """Make random embeddings of the source space, always the same."""
    source = case.part.source
    random = np.random.default_rng(0).standard_normal((ROWS, source.dim))
    ids = tuple(f"vector {number}" for number in range(ROWS))
    return Embeddings(normalize(random), source, "anything", ids, "random", 100.0)


@CHECKS.add("set `source` and `target`, each an anybind.Space, as the spec's source and space say")
def check_spaces(case: Case[Adapter]) -> None:
    assert_spaces(case.part, "source", "target")
    assert_spec(case.spec, source=case.part.source.name, space=case.part.target.name)


@CHECKS.add("make `map` take (n, source.dim) float32 vectors and return a NumPy array of n rows")
def check_maps_vectors(case: Case[Adapter]) -> np.ndarray:
    return assert_array(case.part.map(get_source_embeddings(case).vectors), "map", ROWS, None)


get_mapped_vectors = computed_once(check_maps_vectors, "array of mapped vectors")


@CHECKS.add("return (n, target.dim) from `map`; set `target` to the space that the vectors are in")
def check_target_dimension(case: Case[Adapter]) -> None:
    width, target = get_mapped_vectors(case).shape[1], case.part.target
    assert width == target.dim, f"map returns {width} dimensions, and the target is {target}"


@CHECKS.add("find what divides by zero or overflows")
def check_finite(case: Case[Adapter]) -> None:
    assert_finite(get_mapped_vectors(case), "the mapped vectors")


@CHECKS.add("use no randomness in `map`")
def check_deterministic(case: Case[Adapter]) -> np.ndarray:
    again = case.part.map(get_source_embeddings(case).vectors)
    assert_close(again, get_mapped_vectors(case), SAME_TOLERANCE, "the same vectors, twice")
    return get_mapped_vectors(case)


get_deterministic_vectors = computed_once(check_deterministic, "deterministic map")


@CHECKS.add("map each row by itself: take no mean or norm over the batch")
def check_batch_invariance(case: Case[Adapter]) -> None:
    vectors, mapped = get_source_embeddings(case).vectors, get_deterministic_vectors(case)
    alone = np.concatenate([case.part.map(vectors[row : row + 1]) for row in range(ROWS)])
    assert_close(alone, mapped, BATCH_TOLERANCE, "one by one and in one batch", relative=True)


@CHECKS.add("make `map` return shape (0, target.dim) for shape (0, source.dim)")
def check_maps_no_rows(case: Case[Adapter]) -> None:
    assert_array(case.part.map(get_source_embeddings(case).vectors[:0]), "map of no vectors", 0, case.part.target.dim)


@CHECKS.add("return `identity` as 12 hexadecimal digits, a hash of all that shapes the output")
def check_identity(case: Case[Adapter]) -> None:
    assert_hash(case.part.identity, "identity")
    assert case.part.identity == case.part.identity, "identity changes from one access to the next"


@CHECKS.add(
    "hash every array and constant that `map` uses when `identity` is read; a `functools.cached_property` may keep it"
)
def check_identity_follows_state(case: Case[Adapter]) -> None:
    vectors, mapped = get_source_embeddings(case).vectors, get_deterministic_vectors(case)
    twin, identity = copy.deepcopy(case.part), case.part.identity
    attributes = {name: value for owner in type(twin).__mro__[::-1] for name, value in vars(owner).items()}
    caches = [name for name, value in attributes.items() if isinstance(value, functools.cached_property)]
    for what in perturb_state(twin, Adapter):
        for name in caches:
            vars(twin).pop(name, None)
        try:
            unused = np.array_equal(twin.map(vectors), mapped, equal_nan=True)
        except Exception:  # perturbed values may be invalid for the map
            unused = False
        assert unused or twin.identity != identity, f"with {what} changed, `identity` stays the same"


@CHECKS.add("implement `map` and inherit `__call__`: it scales to norm 1 and keeps the ids")
def check_adapts_embeddings(case: Case[Adapter]) -> None:
    get_valid_vectors(case)
    embeddings = get_source_embeddings(case)
    adapted = case.part(embeddings)
    unchanged = (adapted.ids, adapted.modality, adapted.logit_scale) == (
        embeddings.ids,
        embeddings.modality,
        embeddings.logit_scale,
    )
    assert unchanged, "ids, modality or logit scale changed"
    assert adapted.space == case.part.target, f"the embeddings are in {adapted.space}"
    assert case.part.identity in adapted.encoder, "the adapter's identity is not in the embeddings' `encoder`"


@computed_once
def get_valid_vectors(case: Case[Adapter]) -> np.ndarray:
    """Return the mapped vectors if they can be embeddings."""
    check_target_dimension(case)
    check_finite(case)
    return get_mapped_vectors(case)


@CHECKS.add("inherit `__call__`: it checks the space")
def check_refuses_another_space(case: Case[Adapter]) -> None:
    other = replace(get_source_embeddings(case), space=replace(case.part.source, name="some-other-space"))
    assert_refused(lambda: case.part(other), "embeddings of another space", SpaceMismatch)


@CHECKS.add(
    "make `map_tensor` compute what `map` does, with torch; or inherit it",
    applies=lambda case: type(case.part).map_tensor is not Adapter.map_tensor,
)
def check_gradients(case: Case[Adapter]) -> None:
    if importlib.util.find_spec("torch") is None:
        raise Skip("torch is not installed")
    import torch

    vectors, mapped = torch.tensor(get_source_embeddings(case).vectors, requires_grad=True), get_mapped_vectors(case)
    try:
        result = case.part.map_tensor(vectors)
    except BadOption as error:
        raise Skip("it passes no gradients") from error
    assert result.requires_grad, "map_tensor passes no gradients"
    assert_close(result.detach().numpy(), mapped, 1e-4, "map and map_tensor", relative=True)
