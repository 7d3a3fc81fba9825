"""`Part`: a spec with the plugin that brought it; loading it, and checking the options it is made with."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from anybind.discovery import contain_import, describe_exception
from anybind.errors import BadOption, MissingExtra, PluginError
from anybind.spec import Spec

S_co = TypeVar("S_co", bound=Spec, covariant=True)


@dataclass(frozen=True, eq=False)  # there is one of each, and they are looked up with every file
class Part(Generic[S_co]):
    """A spec with the plugin that brought it."""

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
            MissingExtra: a package that the part's extra brings is not installed.
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
        """What the target makes without arguments, made once; a failed import is tried again."""
        return self.load()()

    @contextmanager
    def explain_missing_extra(self) -> Iterator[None]:
        """Turn a missing package, inside the block, into `MissingExtra` with its pip line."""
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


_signature = functools.lru_cache(maxsize=256)(inspect.signature)


def check_options(what: str, target: Callable[..., Any], /, *args: object, **options: object) -> None:
    """Raise `BadOption`, with the options there are, unless `target` can be called like this."""
    try:
        signature = _signature(target)
    except TypeError:  # what cannot be hashed, such as a method of a plain dataclass
        signature = inspect.signature(target)
    try:
        signature.bind(*args, **options)
    except TypeError as error:
        takes = ", ".join(list(signature.parameters)[len(args) :]) or "none"
        raise BadOption(f"{what}: {error} (options: {takes})") from None
