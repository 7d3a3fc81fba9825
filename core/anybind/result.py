"""`Result`: one record of what was asked, of what, and what came out."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def versions() -> dict[str, str]:
    """Versions of what shapes the numbers, for those packages that are installed."""
    found = {"python": platform.python_version()}
    for package in ("anybind", "numpy", "pillow", "torch", "timm", "open_clip_torch", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, kw_only=True)
class Result:
    """One record: the question, what it was asked of, and the metrics.

    Attributes:
        task, dataset, binding, modality: names.
        split_hash: see `Dataset.split_hash`.
        encoders: identity of every encoder (and adapter) that took part, by modality.
        seed: of all randomness in the question.
        n: number of samples asked about.
        gallery_size: number of candidates that each was compared with.
        metrics: the answers: numbers in [0, 1] unless a name says otherwise.
        prompts: what words were wrapped in.
        details: what the metrics were made of (per class, confusion, ...), JSON-like.
    """

    task: str
    dataset: str
    split_hash: str
    binding: str
    modality: str
    encoders: Mapping[str, str]
    seed: int
    n: int
    gallery_size: int
    metrics: Mapping[str, float]
    prompts: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)

    def to_dict(self) -> dict[str, Any]:
        """Flat and JSON-like: metrics and details stand beside the other fields."""
        fields = asdict(self)
        return {**fields.pop("metrics"), **fields.pop("details"), **fields}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)
