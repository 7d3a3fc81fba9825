"""`Modality`: a kind of recording - what its samples are, how they are checked, shown and derived."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar, cast

import numpy as np

from anybind.errors import AnybindError, BadInput, BadOption
from anybind.registry import check_options, find_part, list_parts
from anybind.spec import ModalitySpec

S = TypeVar("S")


class Modality(ABC, Generic[S]):
    """A kind of recording, whose samples are of type `S`. Registered as a class; one instance serves a process.

    Attributes:
        name: the word for it, for instance `event`.
    """

    name: ClassVar[str]

    @abstractmethod
    def accepts(self, item: object) -> bool:
        """Whether the item is a sample of this modality or `as_sample` converts it (by its type, not its contents)."""

    def as_sample(self, item: object) -> S:
        """The sample of an item that `accepts` it: the item itself unless a modality converts other types.

        Raises:
            BadInput: the item has the right type and invalid contents.
        """
        return cast(S, item)

    @abstractmethod
    def check(self, sample: S) -> None:
        """Raise `BadInput`, saying what is wrong, when the sample cannot be embedded (empty, not finite)."""

    @abstractmethod
    def show(self, sample: S) -> np.ndarray | str:
        """What a person should see of a sample: an RGB picture (height, width, 3) uint8, or a text."""

    def make(self, /, *args: Any, **fields: Any) -> S:
        """Make a sample from its parts, so that other plugins need not import the sample's class.

        A modality whose samples have a class of their own names its parts: those that the class takes.

        Raises:
            BadInput: as the sample's class raises it, or samples of this modality are plain arrays or texts.
        """
        raise BadInput(f"samples of {self.name} have no class of their own: give the array or text itself")

    def derivation(self, source: str) -> Mapping[str, object]:
        """Everything but the seed that shapes what `derive` makes, JSON-like: part of the identity of vectors."""
        return {}

    def augment(self, sample: S, /, *, seed: int) -> S:
        """A sample changed at random, as training wants it, the same for the same seed and options.

        A modality that can do so names its options.

        Raises:
            BadOption: it has no augmentation, or an option makes no sense.
        """
        raise BadOption(f"samples of {self.name} have no augmentation")

    def derive(self, sample: Any, source: str, /, *args: Any, seed: int, **options: Any) -> S:
        """Make a sample of this modality from one of `source`, a modality that the spec's `derived_from` names.

        The same sample, seed and options always give the same result. A modality names the options it takes.

        Raises:
            BadInput: it cannot be made from that modality, or not from this sample.
        """
        raise BadInput(f"no {self.name} can be made from {source}")


def find_modality(name: str) -> Modality[object]:
    """The installed modality of that name, always the same one; raises `UnknownName` with the nearest ones."""
    return find_part(ModalitySpec, name).instance


def list_sources(name: str) -> tuple[str, ...]:
    """The modality itself, then those whose samples it can be derived from."""
    return (name, *find_part(ModalitySpec, name).spec.derived_from)


def make_sample(modality: str, /, *args: object, **fields: object) -> Any:
    """A sample of a modality, made from its parts: `make_sample("depth", metres, fx=520.0)`.

    Raises:
        UnknownName: no such modality.
        BadInput, BadOption: as the modality's `make` raises it.
    """
    return find_modality(modality).make(*args, **fields)


def check_augmentation(modality: str, options: Mapping[str, object]) -> None:
    """Raise `BadOption`, with the options there are, unless a modality's `augment` takes these."""
    if not isinstance(options, Mapping):
        raise BadOption(f"augment.{modality}: expected a table of options, got {options!r}")
    check_options(f"augment.{modality}", find_modality(modality).augment, None, seed=0, **options)


def infer_modality(sample: object) -> str:
    """Name of the modality that a sample in memory belongs to; raises `BadInput` when it is none's."""
    for part in list_parts("modality"):
        # One that cannot be loaded has no samples in memory, and must not stand in the way of the others.
        with contextlib.suppress(AnybindError):
            if find_modality(part.name).accepts(sample):
                return part.name
    names = ", ".join(part.name for part in list_parts("modality"))
    raise BadInput(f"a {type(sample).__name__} is a sample of no installed modality ({names})")


def derive(target: str, sample: object, *, source: str | None = None, seed: int = 0, **options: object) -> Any:
    """Make a sample of one modality from a sample of another, for instance events from a picture.

    Args:
        target: the modality to make.
        sample: a sample of another modality; one of the target itself is returned as it is.
        source: the sample's modality; found from its type by default.
        seed: the same seed gives the same result.
        options: passed on to the modality's own `derive`.

    Raises:
        BadInput: the target cannot be derived from that modality.
        BadOption: the seed is negative, or the modality does not take an option.
    """
    if seed < 0:
        raise BadOption(f"the seed must be 0 or more, got {seed}")
    source = source or infer_modality(sample)
    sample = find_modality(source).as_sample(sample)
    if source == target:
        return sample
    method = _find_derivable(target, source).derive
    check_options(f"deriving {target} from {source}", method, sample, source, seed=seed, **options)
    return method(sample, source, seed=seed, **options)


def _find_derivable(target: str, source: str) -> Modality[object]:
    """The modality to make; raises `BadInput` where its spec does not say that it can be made from the source."""
    sources = find_part(ModalitySpec, target).spec.derived_from
    if source not in sources:
        reason = f"only from {', '.join(sources)}" if sources else "from nothing else"
        raise BadInput(f"no {target} can be made from {source} ({reason})")
    return find_modality(target)
