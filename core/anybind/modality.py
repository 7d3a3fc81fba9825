"""`Modality`: a type of sample - how samples are recognised, checked, rendered and derived."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np

from anybind.errors import BadInput, BadOption
from anybind.number_checks import check_seed
from anybind.registry import check_options, find_part, list_parts
from anybind.spec import ModalitySpec
from anybind.windowing import SampleWindow, WindowOptions

S = TypeVar("S")


class Modality(ABC, Generic[S]):
    """A modality with samples of type `S`. Registered as a class; a process uses one instance.

    Attributes:
        name: registered name, for instance `event`.
        intensity: label of `SampleWindow.intensity` on charts, with its unit; empty for samples without windows.
        sample_type: what a sample is, for error messages: `a uint8 RGB array (height, width, 3)`.
    """

    name: ClassVar[str]
    intensity: ClassVar[str] = ""
    sample_type: ClassVar[str] = ""

    @abstractmethod
    def accepts(self, item: object) -> bool:
        """Return whether an item is a sample or can be converted by `as_sample`, judging by its type only."""

    def as_sample(self, item: object) -> S:
        """Convert an accepted item to a sample; by default the item is the sample.

        Raises:
            BadInput: the item has the right type and invalid contents.
        """
        return cast(S, item)

    @abstractmethod
    def check(self, sample: S) -> None:
        """Raise `BadInput` if a sample cannot be embedded (empty, not finite)."""

    @abstractmethod
    def show(self, sample: S) -> np.ndarray | str:
        """Render a sample for display: an RGB image, (height, width, 3) uint8, or a text."""

    def show_window(self, sample: S) -> np.ndarray | str:
        """Render all of a window of a recording, as `show` does by default: (height, width, 3) uint8, or a text."""
        return self.show(sample)

    def make(self, /, *args: Any, **fields: Any) -> S:
        """Create a sample from its fields, so that other plugins need not import the sample's class.

        A modality whose samples have a class of their own declares the arguments of that class.

        Raises:
            BadInput: invalid fields, or samples of this modality are plain arrays or texts.
        """
        raise BadInput(f"samples of {self.name} have no class of their own: give the array or text itself")

    def derivation(self, source: str) -> Mapping[str, object]:
        """Return everything but the seed that shapes derived samples, JSON-like: part of the embeddings' identity."""
        return {}

    def augment(self, sample: S, /, *, seed: int) -> S:
        """Augment a sample for training, deterministically for the same seed and options.

        A modality with an augmentation declares its options.

        Raises:
            BadOption: it has no augmentation, or an option is invalid.
        """
        raise BadOption(f"samples of {self.name} have no augmentation")

    def split(self, sample: S, options: WindowOptions) -> Iterator[SampleWindow[S]]:
        """Divide a recording into windows over time; by default, samples have none, and are one window.

        Raises:
            BadOption: invalid options, or any for samples that have no windows.
        """
        if not (options.is_default or options.is_whole):
            raise BadOption(f"samples of {self.name} have no time ranges, windows, regions or filters")
        yield SampleWindow(sample, 0, 0, is_whole=True)

    def derive(self, sample: Any, source: str, /, *args: Any, seed: int, **options: Any) -> S:
        """Derive a sample of this modality from one of `source`, a modality in the spec's `derived_from`.

        The result is deterministic for the same sample, seed and options. A modality declares its options.

        Raises:
            BadInput: it cannot be derived from that modality, or not from this sample.
        """
        raise BadInput(f"no {self.name} can be made from {source}")


def find_modality(name: str) -> Modality[object]:
    """Return the one instance of an installed modality; raise `UnknownName` with the nearest names."""
    return find_part(ModalitySpec, name).instance


def has_windows(name: str) -> bool:
    """Return whether samples of a modality are divided into windows over time."""
    return type(find_modality(name)).split is not Modality.split


def list_sources(name: str) -> tuple[str, ...]:
    """Return the modality itself, then those that it can be derived from."""
    return (name, *find_part(ModalitySpec, name).spec.derived_from)


def make_sample(modality: str, /, *args: object, **fields: object) -> Any:
    """Create a sample of a modality from its fields: `make_sample("depth", metres, fx=520.0)`.

    Raises:
        UnknownName: no such modality.
        BadInput, BadOption: as the modality's `make`.
    """
    return find_modality(modality).make(*args, **fields)


def check_augmentation(modality: str, options: Mapping[str, object]) -> None:
    """Raise `BadOption`, listing the valid options, unless a modality's `augment` takes these."""
    if not isinstance(options, Mapping):
        raise BadOption(f"augment.{modality}: expected a table of options, got {options!r}")
    check_options(f"augment.{modality}", find_modality(modality).augment, None, seed=0, **options)


def describe_type(value: object) -> str:
    """Return the type of an object as words; of an array with its dtype and shape."""
    if isinstance(value, np.ndarray):
        return f"{'an' if value.dtype.kind == 'i' else 'a'} {value.dtype} array of shape {value.shape}"
    owner = type(value)
    name = owner.__name__ if owner.__module__ == "builtins" else f"{owner.__module__}.{owner.__name__}"
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"


def infer_modality(sample: object) -> str:
    """Return the name of the modality of a sample in memory; raise `BadInput` if there is none."""
    for part in list_parts("modality"):
        # A modality that cannot be loaded, or fails, must not affect the others.
        with contextlib.suppress(Exception):
            if find_modality(part.name).accepts(sample):
                return part.name
    names = ", ".join(part.name for part in list_parts("modality"))
    raise BadInput(f"{describe_type(sample)} is a sample of no installed modality ({names})")


def derive(target: str, sample: object, *, source: str | None = None, seed: int = 0, **options: object) -> Any:
    """Derive a sample of one modality from a sample of another, for instance events from an image.

    Args:
        target: the modality to derive.
        sample: a sample of another modality; one of the target itself is returned unchanged.
        source: the sample's modality. [default: by its type]
        seed: random seed.
        options: options of the modality's `derive`.

    Raises:
        BadInput: the target cannot be derived from that modality.
        BadOption: the seed is not an integer of at least 0, or the modality does not take an option.
    """
    seed = check_seed(seed)
    if source is None and isinstance(sample, str | os.PathLike) and os.path.exists(sample):  # noqa: PTH110 (any text)
        raise BadInput(f"expected a sample, got the path of a file: give anybind.read({os.fspath(sample)!r})")
    source = source or infer_modality(sample)
    sample = find_modality(source).as_sample(sample)
    if source == target:
        return sample
    method = _find_derivable(target, source).derive
    check_options(f"deriving {target} from {source}", method, sample, source, seed=seed, **options)
    return method(sample, source, seed=seed, **options)


def _find_derivable(target: str, source: str) -> Modality[object]:
    """Return the modality to derive; raise `BadInput` if its spec does not list the source."""
    sources = find_part(ModalitySpec, target).spec.derived_from
    if source not in sources:
        reason = f"only from {', '.join(sources)}" if sources else "from nothing else"
        raise BadInput(f"no {target} can be made from {source} ({reason})")
    return find_modality(target)
