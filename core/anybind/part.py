"""`Part`: a spec with the plugin that registered it; loading its target, and checking options."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from anybind.discovery import contain_import, describe_exception
from anybind.errors import AnybindError, BadOption, MissingExtra, PluginError
from anybind.spec import Spec

S_co = TypeVar("S_co", bound=Spec, covariant=True)


@dataclass(frozen=True, eq=False)  # unique objects, compared for every file: identity is fast
class Part(Generic[S_co]):
    """A spec with the plugin that registered it."""

    spec: S_co
    plugin: str
    distribution: str

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def name(self) -> str:
        return self.spec.name

    def load(self) -> Any:
        """Import the target and return it: a class or a factory.

        Raises:
            MissingExtra: a package of the part's extra is not installed.
            PluginError: the import failed for another reason.
        """
        module, _, attribute = self.spec.target.partition(":")
        try:
            if module not in sys.modules:
                with self.explain_missing_extra(), contain_import():
                    importlib.import_module(module)
            return getattr(sys.modules[module], attribute)
        except MissingExtra:
            raise
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.name!r} of {self.distribution} failed to import: {describe_exception(error)}"
            ) from error

    @functools.cached_property
    def instance(self) -> Any:
        """The object that the target creates without arguments, created once; a failed import is retried.

        Raises:
            MissingExtra, PluginError: as `load`, or the target cannot be called without arguments.
        """
        target = self.load()
        try:
            return target()
        except AnybindError:
            raise
        except Exception as error:
            raise PluginError(
                f"{self.kind} {self.name!r} of {self.distribution} cannot be created: {describe_exception(error)}"
            ) from error

    def create(self, /, *args: object, **options: object) -> Any:
        """Import the target and call it with options.

        Raises:
            MissingExtra: a package is not installed; the message has the pip line.
            BadOption: an option that the target does not take, or a required one that is missing.
            PluginError: the import failed, or the target raised an unexpected error.
        """
        target = self.load()
        check_options(f"{self.kind} {self.name!r}", target, *args, **options)
        problem = f"{self.kind} {self.name!r} of {self.distribution} cannot be created"
        with explain_failure(problem), self.explain_missing_extra():
            return target(*args, **options)

    @contextmanager
    def explain_missing_extra(self) -> Iterator[None]:
        """Raise `MissingExtra` with the pip line for a package that is missing inside the block."""
        try:
            yield
        except ModuleNotFoundError as error:
            own_package = self.spec.target.partition(":")[0].partition(".")[0]
            missing = (error.name or own_package).partition(".")[0]
            if not self.spec.extra or missing == own_package:
                raise
            raise MissingExtra(
                f"{self.spec.kind} {self.name!r} needs the package {error.name!r}: "
                f"pip install '{self.distribution}[{self.spec.extra}]'"
            ) from error


@contextmanager
def explain_failure(problem: str, passed: Sequence[Exception] = ()) -> Iterator[None]:
    """Raise `PluginError` with the problem for an error in a plugin's code that is none of a file or an option.

    Errors in `passed`, which may be filled inside the block, are raised as they are.
    """
    try:
        yield
    except (AnybindError, OSError, ImportError, MemoryError, Warning):
        raise
    except Exception as error:
        if error in passed:
            raise
        raise PluginError(f"{problem}: {describe_exception(error)}") from error


@functools.lru_cache(maxsize=256)
def _get_parameters(target: Callable[..., object]) -> frozenset[str]:
    return frozenset(inspect.signature(target).parameters)


@functools.lru_cache(maxsize=1024)
def _check_names(target: Callable[..., object], n_args: int, names: tuple[str, ...]) -> None:
    """Raise `TypeError` unless `target` can be called with this many arguments and options of these names."""
    if "self" in names:  # not in the signature of a class or a method, whose options may have any name
        raise TypeError("got an unexpected keyword argument 'self'")
    inspect.signature(target).bind(*[None] * n_args, **dict.fromkeys(names))


def check_options(what: str, target: Callable[..., object], /, *args: object, **options: object) -> None:
    """Raise `BadOption`, listing the valid options, unless `target` can be called with these arguments."""
    try:
        _check_names(target, len(args), tuple(options))
    except TypeError:  # invalid options; or a target that is not hashable, such as a method of a plain dataclass
        try:
            _check_names.__wrapped__(target, len(args), tuple(options))
        except TypeError as error:
            takes = ", ".join(list(inspect.signature(target).parameters)[len(args) :]) or "none"
            raise BadOption(f"{what}: {error} (options: {takes})") from None


def takes_option(target: Callable[..., object], name: str) -> bool:
    """Return whether `target` has a parameter of that name."""
    return name in _get_parameters(target)


def refuse_arguments(options: Iterable[str], setter: str, *arguments: str | Callable[..., Any]) -> None:
    """Raise `BadOption` for an option with the name of an argument that `setter` sets itself.

    Args:
        options: names of options that a user gave.
        setter: what sets the arguments, in the message.
        arguments: names, and functions, which stand for all their named arguments.
    """
    taken = {"self"}
    for each in arguments:
        if isinstance(each, str):
            taken.add(each)
        else:
            parameters = inspect.signature(each).parameters.values()
            taken |= {own.name for own in parameters if own.kind not in (own.VAR_POSITIONAL, own.VAR_KEYWORD)}
    for name in options:
        if name in taken:
            raise BadOption(f"cannot set the option {name}, which {setter} sets")
