"""`Space`: which embedding space a vector lives in. Vectors of different spaces are never compared."""

from __future__ import annotations

from dataclasses import dataclass

from anybind.errors import SpaceMismatch


@dataclass(frozen=True)
class Space:
    """An embedding space. Two spaces are one and the same only when all three fields agree.

    Attributes:
        name: as bindings and adapters name it, for instance `all-MiniLM-L6-v2`.
        dim: number of dimensions.
        backbone: what made it, as `repository@revision`, or a hash of the weights for local files.
    """

    name: str
    dim: int
    backbone: str = ""

    def require_same(self, other: Space, doing: str) -> None:
        """Raise `SpaceMismatch`, saying what was being done, unless `other` is this very space."""
        if self != other:
            raise SpaceMismatch(f"cannot {doing}: {self} and {other} are different spaces")

    def __str__(self) -> str:
        made_by = f" of {self.backbone}" if self.backbone else ""
        return f"{self.name} ({self.dim}-d{made_by})"
