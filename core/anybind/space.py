"""`Space`: an embedding space. Embeddings of different spaces are never compared."""

from __future__ import annotations

from dataclasses import dataclass

from anybind.errors import BadOption, SpaceMismatch
from anybind.number_checks import check_count


@dataclass(frozen=True)
class Space:
    """An embedding space. Two spaces are equal only if all three fields are.

    Attributes:
        name: name in bindings and adapters, for instance `all-MiniLM-L6-v2`.
        dim: number of dimensions.
        backbone: source of the encoder, as `repository@revision`, or a hash of the weights for local files.

    Raises:
        BadOption: a name or source that is not a text, or another number of dimensions than an integer above 0.
    """

    name: str
    dim: int
    backbone: str = ""

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and isinstance(self.backbone, str)):
            raise BadOption(f"a space: expected texts for name and backbone, got {self.name!r} and {self.backbone!r}")
        object.__setattr__(self, "dim", check_count(f"dimensions of the space {self.name!r}", self.dim))

    def require_same(self, other: Space, doing: str) -> None:
        """Raise `SpaceMismatch` unless `other` is equal; `doing` names the operation in the message."""
        if self != other:
            raise SpaceMismatch(f"cannot {doing}: {self} and {other} are different spaces")

    def __str__(self) -> str:
        source = f" of {self.backbone}" if self.backbone else ""
        return f"{self.name} ({self.dim}-d{source})"
