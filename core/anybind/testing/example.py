"""`Example`: what a part is checked on; a plugin offers one for each of its parts."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

from anybind.binder import Binder
from anybind.dataset import Dataset
from anybind.discovery import find_entry_points
from anybind.errors import MissingExtra, PluginError, UnknownName
from anybind.part import Part
from anybind.spec import Spec


@dataclass(frozen=True, kw_only=True)
class Example:
    """What one part is checked on. Give what its kind needs; an encoder, a representation or a reader without samples
    is checked on those of its modality's example, whichever plugin offers it.

    Attributes:
        options: arguments that the part is made with.
        samples: of a modality, encoder or representation: valid samples, two or more that differ. Of a reader that
            writes: samples to write files from.
        wrong: of a modality, encoder or representation: invalid samples, which it must refuse.
        sources: of a modality: a sample of each modality that it can be derived from.
        files: of a reader: files of its format.
        folder: of a dataset: a folder in the layout that it reads.
        dataset, modality: of a task: what it is evaluated on, and the modality to embed its samples as.
        measures: of a head: names of the measures that it reads.
        binder: of a task or head: the binding to use; by default one whose embeddings have no meaning.
        expected_failures: checks that the part fails, by name, each with the reason.
        cannot: the reason why the part cannot be checked here, such as weights to be downloaded; then nothing else.
    """

    options: Mapping[str, object] = field(default_factory=dict)
    samples: Sequence[object] = ()
    wrong: Sequence[object] = ()
    sources: Mapping[str, object] = field(default_factory=dict)
    files: Sequence[Path] = ()
    folder: Path | None = None
    dataset: Dataset | None = None
    modality: str = ""
    measures: Sequence[str] = ()
    binder: Binder | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    cannot: str = ""


def find_example(part: Part[Spec], folder: Path) -> Example | None:
    """Return the example that the part's plugin offers; None where it offers none.

    A plugin offers examples by a function in the module that the entry point names, or in the module `examples` of its
    package, which nothing but the checks imports:

        def anybind_examples(kind, name, folder):
            from anybind.testing import Example

            if (kind, name) == ("encoder", "thermal-tower"):
                return Example(options={"width": 32}, samples=[...], wrong=[...])

    It may write files into `folder`, an empty one. A package or part that it needs and that is not installed makes the
    part one that cannot be checked.

    Raises:
        PluginError: the function fails, or returns something else.
    """
    points = [point for point in find_entry_points()[0] if point.name == part.plugin]
    owned = [point for point in points if point.dist and point.dist.name == part.distribution] or points
    try:
        offer = _find_offer(owned[0]) if owned else None
        example = offer and offer(part.kind, part.name, folder)
    except ModuleNotFoundError as error:
        return Example(cannot=f"its example needs the package {error.name!r}")
    except (MissingExtra, UnknownName) as error:
        return Example(cannot=f"its example cannot be made here: {error}")
    except Exception as error:
        raise PluginError(f"anybind_examples of {part.plugin!r} failed: {type(error).__name__}: {error}") from error
    if example is not None and not isinstance(example, Example):
        raise PluginError(f"anybind_examples of {part.plugin!r} returned a {type(example).__name__}, not an Example")
    return example


def _find_offer(point: EntryPoint) -> Callable[[str, str, Path], object] | None:
    module = point.load()
    offer = getattr(module, "anybind_examples", None)
    is_package = getattr(module, "__path__", None) is not None
    if offer is None and is_package and importlib.util.find_spec(f"{module.__name__}.examples"):
        offer = getattr(importlib.import_module(f"{module.__name__}.examples"), "anybind_examples", None)
    return offer
