"""`Example`: the data to check a part on; a plugin returns one for each of its parts."""

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
    """Data to check one part on.

    An encoder, a representation or a reader without samples is checked on those of its modality's example.

    Attributes:
        options: arguments to create the part with.
        samples: for a modality, encoder or representation: valid samples, two or more that differ; for a reader that
            writes: samples to write files from.
        wrong: for a modality, encoder or representation: invalid samples, which must raise an error.
        sources: for a modality: a sample of each modality that it can be derived from.
        files: for a reader: files of its format.
        folder: for a dataset: a folder in its layout.
        dataset, modality: for a task: the dataset to evaluate, and the modality to embed its samples as.
        measures: for a head: names of the measures that it reads.
        binder: for a task or head: the binding. [default: one with random embeddings]
        expected_failures: checks that the part fails, by name, each with the reason.
        cannot: reason why the part cannot be checked here, such as weights to be downloaded; without other fields.
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
    """Return the example of a part from its plugin; None if there is none.

    A plugin defines examples in a function of its entry point's module, or of the module `examples` of its package,
    which only the checks import:

        def anybind_examples(kind, name, folder):
            from anybind.testing import Example

            if (kind, name) == ("encoder", "thermal"):
                return Example(options={"width": 32}, samples=[...], wrong=[...])

    It may write files into the empty `folder`. A part whose example needs a missing package or part is skipped.

    Raises:
        PluginError: the function fails, or returns something else.
    """
    points = [point for point in find_entry_points()[0] if point.name == part.plugin]
    owned = [point for point in points if point.dist and point.dist.name == part.distribution] or points
    try:
        make_example = _find_example_factory(owned[0]) if owned else None
        example = make_example and make_example(part.kind, part.name, folder)
    except ModuleNotFoundError as error:
        return Example(cannot=f"its example needs the package {error.name!r}")
    except (MissingExtra, UnknownName) as error:
        return Example(cannot=f"its example cannot be created here: {error}")
    except Exception as error:
        raise PluginError(f"anybind_examples of {part.plugin!r} failed: {type(error).__name__}: {error}") from error
    if example is not None and not isinstance(example, Example):
        raise PluginError(f"anybind_examples of {part.plugin!r}: expected an Example, got a {type(example).__name__}")
    return example


def _find_example_factory(point: EntryPoint) -> Callable[[str, str, Path], object] | None:
    module = point.load()
    offer = getattr(module, "anybind_examples", None)
    is_package = getattr(module, "__path__", None) is not None
    if offer is None and is_package and importlib.util.find_spec(f"{module.__name__}.examples"):
        offer = getattr(importlib.import_module(f"{module.__name__}.examples"), "anybind_examples", None)
    return offer
