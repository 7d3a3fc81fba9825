"""Detection of a file's format: its reader by content first and by file name second, or why there is none."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from anybind.errors import AnybindError, BadInput, BadOption, PluginError
from anybind.files import check_input, check_pointer
from anybind.registry import Part, check_options, list_parts, registry
from anybind.spec import ModalitySpec, ReaderSpec

HEAD_BYTES = 4096
"""Number of bytes at the beginning of a file that `Reader.sniff` is called with."""
DECOMPRESS = "decompress it first"
KNOWN_FORMATS: Mapping[bytes, str] = {
    b"#ROSBAG V": "a ROS 1 bag of another version than 2.0; convert it by `rosbag fix`",
    b"SQLite format 3\0": "an SQLite database that is not a ROS 2 bag",
    b"MATLAB 5.0 MAT-file": "a MATLAB 5 file that does not begin with events; name a reader of .mat files (reader=)",
    b"\x1f\x8b": f"a gzip file; {DECOMPRESS}",
    b"BZh": f"a bzip2 file; {DECOMPRESS}",
    b"\xfd7zXZ\0": f"an xz file; {DECOMPRESS}",
    b"\x28\xb5\x2f\xfd": f"a zstd file; {DECOMPRESS}",
    b"7z\xbc\xaf\x27\x1c": f"a 7z archive; {DECOMPRESS}",
    b"Rar!\x1a\x07": f"a RAR archive; {DECOMPRESS}",
    b"<!doctype html": "a web page; the download failed, download it again",
    b"<html": "a web page; the download failed, download it again",
    b"%pdf-": "a PDF document",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}
"""Signatures of formats that are not supported, in lower case where they are text, and what to do about them."""


@lru_cache(maxsize=256)
def _select_by_suffix(readers: tuple[Part[ReaderSpec], ...], suffix: str) -> list[Part[ReaderSpec]]:
    """Return the readers of files with a suffix; cached, as folders hold thousands of files with the same one."""
    return [part for part in readers if suffix in part.spec.suffixes]


@lru_cache(maxsize=8)
def _group_by_signature(
    readers: tuple[Part[ReaderSpec], ...],
) -> tuple[list[Part[ReaderSpec]], list[Part[ReaderSpec]], tuple[bytes, ...]]:
    """Return the readers without signatures, those with, and all signatures; cached as the above."""
    unsigned = [part for part in readers if not part.spec.signatures]
    signed = [part for part in readers if part.spec.signatures]
    return unsigned, signed, tuple(sorted({each for part in signed for each in part.spec.signatures}))


class FormatDetector:
    """Results of the readers' `sniff` for one file: the file is opened once, and each reader is called at most once."""

    def __init__(self, path: Path) -> None:
        self.path, self.suffix, self.head = path, path.suffix.lower(), read_beginning(path)
        self.verdicts: dict[Part[ReaderSpec], bool | None] = {}
        self.failures: dict[Part[ReaderSpec], AnybindError] = {}

    def find_reader(self, modality: str | None = None, options: Mapping[str, object] | None = None) -> Part[ReaderSpec]:
        """Find the reader of the file; see `anybind.reader.find_reader`."""
        installed = registry().list_parts(ReaderSpec)
        by_suffix = _select_by_suffix(installed, self.suffix)
        # A reader with the file's suffix that recognises the content takes precedence, so that the others need not be
        # called, if it is of the expected modality or of one that this can be derived from.
        self._sniff(by_suffix)
        for able in self._list_sources(modality) if modality else (None,):
            claims = [part for part in by_suffix if able is None or part.spec.modality in able]
            certain = [part for part in claims if self.verdicts.get(part)]
            if len(certain) == 1:
                return certain[0]
            if any(self.verdicts.get(part, False) is not False for part in claims):
                break
        self._sniff_others(installed)
        chosen = (self._list_claimants(modality) if modality else []) or self._list_claimants()
        if len(chosen) == 1:
            return chosen[0]
        unsupported = next(
            (text for sign, text in KNOWN_FORMATS.items() if self.head[: len(sign)].lower() == sign.lower()), ""
        )
        if unsupported and not chosen:
            raise BadInput(f"{self.path}: expected a supported format, got {unsupported}")
        able = [part for part in by_suffix if options and self._takes_options(part, options)]
        if len(able) == 1 and not chosen:
            return able[0]
        raise self._make_error(chosen)

    @staticmethod
    def _list_sources(modality: str) -> tuple[set[str], set[str]]:
        """Return the modality, and those that it can be derived from."""
        derived_from = (part.spec.derived_from for part in list_parts(ModalitySpec) if part.name == modality)
        return {modality}, {source for sources in derived_from for source in sources}

    def _takes_options(self, part: Part[ReaderSpec], options: Mapping[str, object]) -> bool:
        if part in self.failures:
            return False
        try:
            check_options("", part.instance.read, self.path, **options)
        except BadOption:
            return False
        return True

    def _sniff(self, readers: Iterable[Part[ReaderSpec]]) -> None:
        for part in readers:
            if part in self.verdicts or part in self.failures:
                continue
            try:
                self.verdicts[part] = part.instance.sniff(self.head)
            except AnybindError as error:
                self.failures[part] = error
            except Exception as error:  # a bug of one plugin must not affect the readers of others
                self.failures[part] = PluginError(f"reader {part.name!r} of {part.distribution} failed: {error!r}")

    def _sniff_others(self, readers: tuple[Part[ReaderSpec], ...]) -> None:
        """Call the readers that may accept the content; one whose signatures are all absent does not."""
        unsigned, signed, signatures = _group_by_signature(readers)
        self._sniff(unsigned)
        if self.head.startswith(signatures):
            self._sniff(part for part in signed if self.head.startswith(part.spec.signatures))

    def _list_claimants(self, modality: str | None = None) -> list[Part[ReaderSpec]]:
        """Return the readers, of a modality, that may accept the file: by content, then by name."""
        claims = [
            part
            for part, verdict in self.verdicts.items()
            if verdict is not False and (modality is None or part.spec.modality == modality)
        ]
        certain = [part for part in claims if self.verdicts[part]]
        return [part for part in (certain or claims) if self.suffix in part.spec.suffixes] or certain

    def _make_error(self, claimants: Iterable[Part[ReaderSpec]]) -> AnybindError:
        path, suffix = self.path, self.suffix
        if names := " and ".join(sorted(repr(part.name) for part in claimants)):
            return BadInput(f"{path}: the readers {names} both claim it; say which with reader=")
        for part, error in self.failures.items():
            if suffix in part.spec.suffixes:
                return error if str(path) in str(error) else _set_cause(type(error)(f"{path}: {error}"), error)
        suffixes = {suffix for part in list_parts(ReaderSpec) for suffix in part.spec.suffixes}
        if suffix in suffixes:
            reason = self._explain_rejection() or "its beginning is not that of the format"
            return BadInput(f"{path} is not a valid {suffix} file: {reason}")
        likely = sorted(
            part.name for part, verdict in self.verdicts.items() if verdict is None and part.spec.signatures
        )
        hint = f" if it is {' or '.join(likely)}, say so with reader=;" if likely else ""
        return BadInput(f"{path}: unsupported format;{hint} supported: {', '.join(sorted(suffixes))}")

    def _explain_rejection(self) -> str:
        """Return the error of the only reader with the file's suffix, without the path; empty if there is none."""
        readers = [part for part in self.verdicts if self.suffix in part.spec.suffixes]
        if len(readers) == 1:
            try:
                next(iter(readers[0].instance.chunks(self.path, count=1)), None)
            except BadInput as error:
                return str(error).removeprefix(str(self.path)).removeprefix(":").strip()
            except Exception:  # the content is of another format: any error of the reader is expected
                return ""
        return ""


def _set_cause(error: AnybindError, cause: Exception) -> AnybindError:
    error.__cause__ = cause
    return error


def read_beginning(path: Path) -> bytes:
    """Read the beginning of a file; raise `BadInput` for an empty file, a folder, a pipe or a device."""
    name = os.fspath(path)
    check_input(name, folders=False)
    try:
        descriptor = os.open(name, os.O_RDONLY)  # a file object would cost more than all the rest for a small file
        try:
            head = os.read(descriptor, HEAD_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}; check the path") from error
    if not head:
        raise BadInput(f"{path} is empty (0 bytes)")
    check_pointer(path, head)
    return head
