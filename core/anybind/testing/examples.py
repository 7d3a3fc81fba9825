"""`Example`: what a part is tried on; a plugin offers them through a function of its module."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from anybind.binder import Binder
from anybind.dataset import Dataset
from anybind.errors import MissingExtra, PluginError, UnknownName
from anybind.registry import GROUP, Part


@dataclass(frozen=True, kw_only=True)
class Example:
    """What one part is tried on. Give what its kind asks for; an encoder, a representation or a reader that is given
    no samples is tried on those of its modality's example, whichever plugin that is of.

    Attributes:
        options: what the part is made with.
        samples: of a modality, encoder or representation: good samples, two at least that differ; of a reader that
            writes: what its files are made of.
        wrong: of a modality, encoder or representation: samples that must be refused.
        sources: of a modality: a sample of each other one that it can be derived from.
        files: of a reader: files of its format.
        folder: of a data set: a folder laid out as it wants it.
        dataset, modality: of a task: what it is asked, and as what its samples are embedded.
        binder: of a task or head: the binding asked; one that means nothing by default.
        cannot: why the part cannot be tried here, such as weights that have to be downloaded; then nothing else.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    samples: Sequence[Any] = ()
    wrong: Sequence[Any] = ()
    sources: Mapping[str, Any] = field(default_factory=dict)
    files: Sequence[Path] = ()
    folder: Path | None = None
    dataset: Dataset | None = None
    modality: str = ""
    binder: Binder | None = None
    cannot: str = ""


def example_of(part: Part, folder: Path) -> Example | None:
    """What the part's plugin offers to try it on; None where it offers nothing.

    A plugin offers examples by a function in its module, the one that the entry point names, or in the module
    `examples` of its package, which nothing but the kit imports:

        def anybind_examples(kind, name, folder):
            from anybind.testing import Example

            if (kind, name) == ("encoder", "thermal-tower"):
                return Example(options={"width": 32}, samples=[...], wrong=[...])

    It may write files into `folder`, an empty one. What it needs and is not installed makes the part one that cannot
    be tried.

    Raises:
        PluginError: the function fails, or gives something else.
    """
    points = [point for point in entry_points(group=GROUP) if point.name == part.plugin]
    owned = [point for point in points if point.dist and point.dist.name == part.distribution] or points
    try:
        offered = _offered(owned[0]) if owned else None
        example = offered and offered(part.kind, part.name, folder)
    except ModuleNotFoundError as error:
        return Example(cannot=f"its example needs the package {error.name!r}")
    except (MissingExtra, UnknownName) as error:
        return Example(cannot=f"its example needs what is not here: {error}")
    except Exception as error:
        raise PluginError(f"anybind_examples of {part.plugin!r} failed: {type(error).__name__}: {error}") from error
    if example is not None and not isinstance(example, Example):
        raise PluginError(f"anybind_examples of {part.plugin!r} gave a {type(example).__name__}, no Example")
    return example


def _offered(point: EntryPoint) -> Callable[[str, str, Path], Any] | None:
    """The plugin's function, of its module or of the module `examples` in its package; None where it has none."""
    module = point.load()
    offered = getattr(module, "anybind_examples", None)
    if offered is None and hasattr(module, "__path__") and importlib.util.find_spec(f"{module.__name__}.examples"):
        offered = getattr(importlib.import_module(f"{module.__name__}.examples"), "anybind_examples", None)
    return offered
