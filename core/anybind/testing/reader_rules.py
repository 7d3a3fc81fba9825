"""What every reader is held to: it reads its own files, leaves others alone, and survives damage."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from anybind.errors import AnybindError, BadInput, UnknownName
from anybind.modality import Modality, find_modality
from anybind.reader import HEAD_BYTES, Reader
from anybind.spec import Spec
from anybind.testing.rules import NotChecked, Rules, Seen, require, same, short, told

READER_RULES = Rules()
_rule = READER_RULES.rule
CUTS = (0.02, 0.3, 0.5, 0.77, 0.99)
"""Where files are cut, as shares of their length; also after 1 byte and before the last one."""
DAMAGES = 24
"""How many copies of a file with a few changed bytes are read."""


@dataclass
class ReaderCase:
    """A reader, and files of its format."""

    reader: Reader
    files: Sequence[Path]
    spec: Spec | None = None

    @functools.cached_property
    def samples(self) -> list[Any]:
        """What the files hold; raises `NotChecked` where they cannot be read."""
        try:
            return [self.reader.read(path) for path in self.files]
        except Exception as error:
            raise NotChecked(f"it does not read its files ({told(error)})") from error

    def modality(self) -> Modality:
        try:
            return find_modality(self.spec.gives if self.spec else "")
        except UnknownName as error:
            raise NotChecked("the modality that it gives is not installed") from error

    @contextmanager
    def changed(self, path: Path, content: bytes) -> Iterator[Path]:
        """A file with the same ending and other bytes."""
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder, f"changed{path.suffix}")
            other.write_bytes(content)
            yield other

    def survives(self, path: Path, content: bytes, what: str) -> AnybindError | None:
        """Read changed bytes: a sample or an `AnybindError` is well, anything else is not."""
        self.samples  # noqa: B018 (what cannot be read whole says nothing of damage)
        with self.changed(path, content) as other:
            try:
                self.reader.read(other)
            except AnybindError as error:
                return error
            except Exception as error:
                raise Seen(f"{what}: {told(error)}, which is no AnybindError") from error
        return None


@_rule("knows its own files", "make `sniff` return True for files of the format, or None where it has no mark")
def _sniffs(case: ReaderCase) -> None:
    for path in case.files:
        verdict = case.reader.sniff(path.read_bytes()[:HEAD_BYTES])
        require(verdict is True or verdict is None, f"sniff gives {verdict!r} for {path.name}")
        known = case.spec is None or path.suffix.lower() in case.spec.suffixes
        require(known, f"{path.name} has an ending that spec.suffixes does not name")
        require(verdict or case.spec is None or case.spec.suffixes, "sniff gives None and spec.suffixes is empty")


@_rule(
    "leaves others' files alone",
    "make `sniff` look for the format's mark, return True, False or None, and raise nothing",
)
def _leaves_others(case: ReaderCase) -> None:
    noise = np.random.default_rng(0).integers(0, 256, HEAD_BYTES, np.uint8).tobytes()
    for what, head in (("one zero byte", b"\0"), ("zeros", bytes(HEAD_BYTES)), ("noise", noise), ("a letter", b"a")):
        verdict = case.reader.sniff(head)
        require(verdict is False or verdict is None, f"sniff gives {verdict!r} for {what}")


@_rule("reads its files", "make `read` give a sample of the modality that spec.gives names")
def _reads(case: ReaderCase) -> None:
    for path in case.files:
        sample = case.reader.read(path)
        try:
            modality = case.modality()
        except NotChecked:
            continue
        require(modality.accepts(sample), f"{path.name} becomes {short(sample)}, no sample of {modality.name}")
        modality.check(sample)


@_rule("deterministic", "use no randomness in `read`")
def _deterministic(case: ReaderCase) -> None:
    for path, sample in zip(case.files, case.samples, strict=True):
        require(same(sample, case.reader.read(path)), f"{path.name}, read twice, becomes two samples")


@_rule("reads in parts", "make `chunks` give samples in order, at least one; or leave it as it is inherited")
def _chunks(case: ReaderCase) -> None:
    case.samples  # noqa: B018
    for path in case.files:
        parts = list(case.reader.chunks(path, count=100))
        require(parts, f"chunks gives nothing of {path.name}")
        modality = case.modality()
        wrong = [part for part in parts if not modality.accepts(part)]
        require(not wrong, f"chunks gives {short(wrong[0]) if wrong else ''}, no sample of {modality.name}")


@_rule(
    "survives cut files",
    "raise anybind.BadInput naming the file and the byte, or give what is whole with an AnybindWarning",
)
def _cut(case: ReaderCase) -> None:
    for path in case.files:
        content = path.read_bytes()
        for length in sorted({1, len(content) - 1, *(int(share * len(content)) for share in CUTS)} - {0}):
            case.survives(path, content[:length], f"{path.name} cut to {length} of {len(content)} bytes")


@_rule(
    "survives damaged files", "check every number of the file before it is used; raise anybind.BadInput with the byte"
)
def _damaged(case: ReaderCase) -> None:
    random = np.random.default_rng(0)
    for path in case.files:
        content = np.frombuffer(path.read_bytes(), np.uint8)
        for copy in range(DAMAGES):
            damaged = content.copy()
            reach = len(content) if copy % 2 else min(len(content), 256)  # headers are where lengths stand
            places = random.integers(0, reach, 4)
            damaged[places] = random.integers(0, 256, 4)
            case.survives(path, damaged.tobytes(), f"{path.name} with the bytes at {sorted(places.tolist())} changed")


@_rule("refuses foreign files", "raise anybind.BadInput, naming the file, where the content is not of the format")
def _foreign(case: ReaderCase) -> None:
    path = case.files[0]
    noise = np.random.default_rng(1).integers(0, 256, 1000, np.uint8).tobytes()
    for what, content in (("an empty file", b""), ("a file of zeros", bytes(1000)), ("a file of noise", noise)):
        error = case.survives(path, content, what)
        named = error is None or f"changed{path.suffix}" in str(error)
        require(named, f"{what}: the error does not name the file: {error}")


@_rule("writes what it reads", "make `write` give a file that `read` takes; or leave it as it is inherited")
def _writes(case: ReaderCase) -> None:
    for path, sample in zip(case.files, case.samples, strict=True):
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder, f"written{path.suffix}")
            try:
                case.reader.write(sample, other)
            except BadInput as error:
                raise NotChecked(f"it does not write this sample ({error})") from error
            again = case.reader.read(other)
        require(type(again) is type(sample), f"a written {short(sample)} is read as {short(again)}")
