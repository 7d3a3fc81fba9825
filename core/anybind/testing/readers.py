"""Checks of readers: they read their own files, leave others alone, and survive truncated and damaged ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from anybind.errors import AnybindError, BadInput
from anybind.reader import HEAD_BYTES, Reader
from anybind.spec import ReaderSpec
from anybind.testing.assertions import Skip, describe_error, describe_sample, installed_modality, is_equal
from anybind.testing.checks import Case, Checks, computed_once

CHECKS = Checks(needs=("files", "samples"))
CUTS = (0.02, 0.3, 0.5, 0.77, 0.99)
"""Shares of a file's length at which it is truncated; it is also cut after 1 byte and before the last one."""
NOISE = np.random.default_rng(0).integers(0, 256, max(HEAD_BYTES, 1000), np.uint8).tobytes()
DAMAGES = 24
"""How many copies of a file with a few changed bytes are read."""


@computed_once
def file_of_its_format(case: Case[Reader]) -> list[Path]:
    """The example's files, or files of its samples, written with the first of the reader's suffixes that it writes."""
    assert isinstance(case.spec, ReaderSpec) or case.example.files, "samples are written by registered readers only"
    files = [Path(path) for path in case.example.files]
    if not files and isinstance(case.spec, ReaderSpec):
        for number, sample in enumerate(case.example.samples):
            files += _write_sample(case.part, sample, [case.folder / f"{number}{end}" for end in case.spec.suffixes])
    assert files, "no file was given, and no sample could be written"
    return files


def _write_sample(reader: Reader, sample: object, paths: list[Path]) -> list[Path]:
    for path in paths:
        with suppress(BadInput):
            reader.write(sample, path)
            return [path]
    return []


@computed_once
def sample_that_it_reads(case: Case[Reader]) -> list[object]:
    """The samples in the files."""
    return [case.part.read(path) for path in file_of_its_format(case)]


def assert_sample(case: Case[Reader], value: object, what: str) -> None:
    """Fail where a value is no sample of the modality that the reader is registered for."""
    modality = installed_modality(case.spec.modality) if isinstance(case.spec, ReaderSpec) else None
    valid = modality is None or modality.accepts(value)
    assert valid, f"{what} {describe_sample(value)}, no sample of {modality and modality.name}"


def read_changed(case: Case[Reader], path: Path, content: bytes, what: str) -> AnybindError | None:
    """Read a file of other content: a sample or an `AnybindError` is fine, anything else fails."""
    sample_that_it_reads(case)  # a reader that cannot read intact files need not survive damaged ones
    changed = case.folder / f"changed{path.suffix}"
    changed.write_bytes(content)
    try:
        case.part.read(changed)
    except AnybindError as error:
        return error
    except Exception as error:
        raise AssertionError(f"{what}: {describe_error(error)}, which is no AnybindError") from error
    return None


@CHECKS.add("make `sniff` return True for files of the format, or None where it has no signature")
def check_sniffs_its_files(case: Case[Reader]) -> None:
    for path in file_of_its_format(case):
        verdict = case.part.sniff(path.read_bytes()[:HEAD_BYTES])
        assert verdict is True or verdict is None, f"sniff returns {verdict!r} for {path.name}"
        if isinstance(case.spec, ReaderSpec):
            assert path.suffix.lower() in case.spec.suffixes, f"the suffix of {path.name} is not in spec.suffixes"


@CHECKS.add("make `sniff` look for the format's signature, return True, False or None, and raise nothing")
def check_leaves_other_files(case: Case[Reader]) -> None:
    for what, head in (("one zero byte", b"\0"), ("zeros", bytes(HEAD_BYTES)), ("noise", NOISE), ("a letter", b"a")):
        verdict = case.part.sniff(head)
        assert verdict is False or verdict is None, f"sniff returns {verdict!r} for {what}"


@CHECKS.add("make `read` return a sample of the modality that the spec names")
def check_reads_its_files(case: Case[Reader]) -> None:
    for path in file_of_its_format(case):
        sample = case.part.read(path)
        assert_sample(case, sample, f"{path.name} becomes")
        if isinstance(case.spec, ReaderSpec) and (modality := installed_modality(case.spec.modality)):
            modality.check(sample)


@CHECKS.add("use no randomness in `read`")
def check_deterministic(case: Case[Reader]) -> None:
    for path, sample in zip(file_of_its_format(case), sample_that_it_reads(case), strict=True):
        assert is_equal(sample, case.part.read(path)), f"{path.name}, read twice, becomes two samples"


@CHECKS.add("make `chunks` give samples in order, at least one; or inherit it")
def check_chunks(case: Case[Reader]) -> None:
    sample_that_it_reads(case)
    for path in file_of_its_format(case):
        chunks = list(case.part.chunks(path, count=100))
        assert chunks, f"chunks gives nothing of {path.name}"
        for chunk in chunks:
            assert_sample(case, chunk, "chunks gives")


@CHECKS.add("raise BadInput naming the file and the byte, or return what is whole with an AnybindWarning")
def check_survives_truncation(case: Case[Reader]) -> None:
    for path in file_of_its_format(case):
        content = path.read_bytes()
        for length in sorted({1, len(content) - 1, *(int(share * len(content)) for share in CUTS)} - {0}):
            read_changed(case, path, content[:length], f"{path.name} cut to {length} of {len(content)} bytes")


@CHECKS.add("check every number of the file before it is used; raise BadInput with the byte")
def check_survives_damage(case: Case[Reader]) -> None:
    random = np.random.default_rng(0)
    for path in file_of_its_format(case):
        content = np.fromfile(path, np.uint8)
        for copy in range(DAMAGES):
            damaged = content.copy()
            reach = len(content) if copy % 2 else min(len(content), 256)  # lengths stand in headers
            places = random.integers(0, reach, 4)
            damaged[places] = random.integers(0, 256, 4)
            what = f"{path.name} with the bytes at {sorted(places.tolist())} changed"
            read_changed(case, path, damaged.tobytes(), what)


@CHECKS.add("raise BadInput, naming the file, where the content is not of the format")
def check_refuses_foreign_files(case: Case[Reader]) -> None:
    path = file_of_its_format(case)[0]
    for what, content in (("an empty file", b""), ("a file of zeros", bytes(1000)), ("a file of noise", NOISE[:1000])):
        error = read_changed(case, path, content, what)
        named = error is None or f"changed{path.suffix}" in str(error)
        assert named, f"{what}: the error does not name the file: {error}"


@CHECKS.add("make `write` give a file that `read` reads; or inherit it")
def check_writes_what_it_reads(case: Case[Reader]) -> None:
    for path, sample in zip(file_of_its_format(case), sample_that_it_reads(case), strict=True):
        written = case.folder / f"written{path.suffix}"
        try:
            case.part.write(sample, written)
        except BadInput as error:
            raise Skip(f"it does not write this sample ({error})") from error
        again = case.part.read(written)
        message = f"a written {describe_sample(sample)} is read as {describe_sample(again)}"
        assert type(again) is type(sample), message
