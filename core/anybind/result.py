"""`Result`: the result of one evaluation."""

from __future__ import annotations

import contextlib
import functools
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from anybind import pages
from anybind.errors import PluginError
from anybind.registry import list_plugins


def versions() -> dict[str, str]:
    """Return the versions of Python, of every distribution with plugins, and of the packages that they require."""
    return dict(_read_versions(frozenset({"anybind", *(plugin.distribution for plugin in list_plugins())})))


@functools.lru_cache(maxsize=8)  # reading the metadata of a hundred packages takes a tenth of a second
def _read_versions(distributions: frozenset[str]) -> dict[str, str]:
    versions_by_name = {"python": platform.python_version()}
    for distribution in distributions:
        for name in (distribution, *_list_required(distribution)):
            with contextlib.suppress(PackageNotFoundError):
                versions_by_name[name] = version(name)
    return dict(sorted(versions_by_name.items()))


def _list_required(distribution: str) -> list[str]:
    """Return the names of the packages that a distribution requires, without its `dev` extra."""
    try:
        lines = requires(distribution) or []
    except PackageNotFoundError:
        return []
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in lines if 'extra == "dev"' not in line]
    return [name.group().lower() for name in names if name]


@dataclass(frozen=True, kw_only=True)
class Result:
    """The result of one evaluation.

    Attributes:
        task, dataset, binding, modality: names.
        split_hash: see `Dataset.split_hash`.
        encoders: identity of every encoder (with adapters) in use, by modality.
        seed: random seed.
        n: number of samples.
        gallery_size: number of candidates per sample; 0 if samples are not compared.
        metrics: values by name, in [0, 1] unless the name says otherwise.
        intervals: confidence intervals by metric, (lowest, highest), 95 % unless the task says otherwise.
        chance: chance levels by metric.
        curves: by name, values of one length by axis, the horizontal axis first.
        undefined: the reason by metric that could not be computed.
        prompts: prompt templates.
        details: intermediate results (per class, confusion, ...), JSON-like.
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
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    prompts: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)

    @staticmethod
    def list_versions() -> dict[str, str]:
        """Return what `versions` is by default: of Python, of distributions with plugins and of their requirements."""
        return versions()

    def _repr_html_(self) -> str:
        """Return a table of the metrics with their intervals and chance levels, for notebooks."""
        rows = []
        for name, value in self.metrics.items():
            ends = "" if name not in self.intervals else "{:.4f} to {:.4f}".format(*self.intervals[name])
            rows.append((name, f"{value:.4f}", ends, f"{self.chance[name]:.4f}" if name in self.chance else ""))
        rows += [(name, "undefined", reason, "") for name, reason in self.undefined.items()]
        caption = f"{self.task}: {self.modality} of {self.dataset} by {self.binding}, n = {self.n}"
        return pages.table_html(("metric", "value", "95 % interval", "chance"), rows, caption)

    def to_dict(self) -> dict[str, object]:
        """Convert the result to one flat, JSON-like table of fields, metrics and details.

        Raises:
            PluginError: a metric or a detail has the name of a field or of another one.
        """
        fields = asdict(self)
        flat: dict[str, object] = {}
        for group in (fields.pop("metrics"), fields.pop("details"), fields):
            for name in group.keys() & flat.keys():
                raise PluginError(f"the task {self.task!r} gives two values for {name!r}; rename its metric")
            flat |= group
        return flat
