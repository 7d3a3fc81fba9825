"""What every adapter is held to."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass, replace

import numpy as np

from anybind.adapter import Adapter
from anybind.embeddings import Embeddings, unit
from anybind.errors import AnybindError, BadOption, SpaceMismatch
from anybind.space import Space
from anybind.spec import Spec
from anybind.testing.rules import NotChecked, Rules, Seen, require, require_close, require_hash, told

ADAPTER_RULES = Rules()
_rule = ADAPTER_RULES.rule


@dataclass
class AdapterCase:
    """An adapter, and how many random vectors it is asked about."""

    adapter: Adapter
    spec: Spec | None = None
    rows: int = 5

    @functools.cached_property
    def given(self) -> Embeddings:
        """Vectors of the source space, always the same."""
        source = self.adapter.source
        random = np.random.default_rng(0).standard_normal((self.rows, source.dim))
        ids = tuple(f"vector {number}" for number in range(self.rows))
        return Embeddings(unit(random), source, "anything", ids, "made-up", 100.0)

    @functools.cached_property
    def mapped(self) -> np.ndarray:
        """What `map` gives; raises `NotChecked` where it is no array of one row a vector."""
        try:
            vectors = self.adapter.map(self.given.vectors)
        except Exception as error:
            raise NotChecked(f"it does not map vectors of its source space ({told(error)})") from error
        if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or len(vectors) != self.rows:
            raise NotChecked("it gives no array of one row a vector")
        return vectors


@_rule("source and target", "set `source` and `target`, each an anybind.Space, as the spec's consumes and gives say")
def _spaces(case: AdapterCase) -> None:
    for role in ("source", "target"):
        space = getattr(case.adapter, role, None)
        require(isinstance(space, Space) and space.name and space.dim > 0, f"{role} is {space!r}")
    source, target, spec = case.adapter.source, case.adapter.target, case.spec
    if spec is not None:
        consumes = f"spec.consumes is {spec.consumes} and source.name is {source.name!r}"
        require(not spec.consumes or source.name in spec.consumes, consumes)
        gives = f"spec.gives is {spec.gives!r} and target.name is {target.name!r}"
        require(not spec.gives or spec.gives == target.name, gives)


@_rule("maps vectors", "make `map` take (n, source.dim) float32 vectors and give a NumPy array of n rows")
def _maps(case: AdapterCase) -> None:
    vectors = case.adapter.map(case.given.vectors)
    shape = getattr(vectors, "shape", None)
    require(isinstance(vectors, np.ndarray), f"map gives a {type(vectors).__name__}, not a NumPy array")
    require(vectors.ndim == 2 and len(vectors) == case.rows, f"map gives shape {shape} for {case.rows} vectors")


@_rule("target dim", "make `map` give (n, target.dim); set `target` to the space that the vectors are in")
def _target_dim(case: AdapterCase) -> None:
    width, target = case.mapped.shape[1], case.adapter.target
    require(width == target.dim, f"map gives {width} dimensions, and the target is {target}")


@_rule("finite", "find what divides by zero or overflows")
def _finite(case: AdapterCase) -> None:
    require(np.isfinite(case.mapped).all(), "map gives NaN or infinity")


@_rule("deterministic", "use no randomness in `map`")
def _deterministic(case: AdapterCase) -> None:
    mapped = case.mapped
    require_close(case.adapter.map(case.given.vectors), mapped, 1e-6, "the same vectors, mapped twice")


@_rule("batch invariant", "map every row for itself: take no mean or norm over the batch")
def _batch_invariant(case: AdapterCase) -> None:
    vectors, mapped = case.given.vectors, case.mapped
    if not np.allclose(case.adapter.map(vectors), mapped, atol=1e-6, equal_nan=True):
        raise NotChecked("it is not deterministic, so nothing can be compared")
    scale = max(1.0, float(np.nanmax(np.abs(mapped))))
    alone = np.concatenate([case.adapter.map(vectors[row : row + 1]) for row in range(case.rows)])
    require_close(alone, mapped, 1e-5 * scale, "one by one and in one batch")


@_rule("takes no rows", "make `map` give shape (0, target.dim) for shape (0, source.dim)")
def _no_rows(case: AdapterCase) -> None:
    mapped = case.adapter.map(case.given.vectors[:0])
    require(mapped.shape == (0, case.adapter.target.dim), f"no vectors become shape {mapped.shape}")


@_rule("identity", "give `identity` as 12 hexadecimal digits, a hash of all that shapes the output")
def _identity(case: AdapterCase) -> None:
    require_hash(case.adapter.identity, "identity")
    require(case.adapter.identity == case.adapter.identity, "identity changes from one reading to the next")


@_rule(
    "adapts embeddings", "write `map` and leave `__call__` as it is inherited: it scales to norm 1 and keeps the ids"
)
def _adapts(case: AdapterCase) -> None:
    try:
        adapted = case.adapter(case.given)
    except AnybindError as error:
        if case.mapped.shape[1] != case.adapter.target.dim or not np.isfinite(case.mapped).all():
            raise NotChecked("what it maps to cannot be embeddings") from error
        raise
    kept = (adapted.ids, adapted.modality, adapted.logit_scale)
    require(
        kept == (case.given.ids, case.given.modality, case.given.logit_scale), "ids, modality or logit scale changed"
    )
    require(adapted.space == case.adapter.target, f"the embeddings are in {adapted.space}")
    require(case.adapter.identity in adapted.encoder, "the adapter's identity is not in the embeddings' `encoder`")


@_rule("refuses another space", "leave `__call__` as it is inherited: it checks the space")
def _refuses(case: AdapterCase) -> None:
    other = replace(case.given, space=replace(case.adapter.source, name="some-other-space"))
    try:
        case.adapter(other)
    except SpaceMismatch:
        return
    raise Seen("it takes vectors of another space without a word")


@_rule("gradients agree", "make `map_tensor` compute what `map` does, with torch; or leave it as it is inherited")
def _gradients(case: AdapterCase) -> None:
    if type(case.adapter).map_tensor is Adapter.map_tensor or importlib.util.find_spec("torch") is None:
        raise NotChecked("it passes no gradients, or torch is not here")
    import torch

    vectors = torch.tensor(case.given.vectors, requires_grad=True)
    try:
        mapped = case.adapter.map_tensor(vectors)
    except BadOption as error:
        raise NotChecked("it passes no gradients") from error
    require(mapped.requires_grad, "map_tensor passes no gradients")
    scale = max(1.0, float(np.abs(case.mapped).max()))
    require_close(mapped.detach().numpy(), case.mapped, 1e-4 * scale, "map and map_tensor")
