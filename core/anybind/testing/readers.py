"""Checks of readers: on their own files, other files, and truncated and damaged ones."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from anybind.detection import HEAD_BYTES
from anybind.errors import AnybindError, BadInput
from anybind.reader import Reader
from anybind.spec import ReaderSpec
from anybind.testing.assertions import Skip, describe_error, describe_sample, find_installed_modality, is_equal
from anybind.testing.checks import Case, Checks, computed_once

CHECKS = Checks(needs=("files", "samples"))
CUTS = (0.02, 0.3, 0.5, 0.77, 0.99)
"""Fractions of a file's length at which it is truncated, in addition to 1 byte and all but the last byte."""
NOISE = np.random.default_rng(0).integers(0, 256, max(HEAD_BYTES, 1000), np.uint8).tobytes()
N_DAMAGED_COPIES = 24
"""Number of copies of a file with a few changed bytes."""


@computed_once
def get_files(case: Case[Reader]) -> list[Path]:
    """Return the example's files, or write its samples with the first suffix that the reader can write."""
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
def get_samples(case: Case[Reader]) -> list[object]:
    """Read the samples in the files."""
    return [case.part.read(path) for path in get_files(case)]


def assert_sample(case: Case[Reader], value: object, what: str) -> None:
    """Fail unless a value is a sample of the reader's registered modality."""
    modality = find_installed_modality(case.spec.modality) if isinstance(case.spec, ReaderSpec) else None
    valid = modality is None or modality.accepts(value)
    assert valid, f"{what} {describe_sample(value)}, expected a sample of {modality and modality.name}"


def read_changed(case: Case[Reader], path: Path, content: bytes, what: str) -> AnybindError | None:
    """Read a file of other content and return its `AnybindError`, if any; fail for any other error."""
    get_samples(case)  # skip the check for a reader that fails on intact files
    changed = case.folder / f"changed{path.suffix}"
    changed.write_bytes(content)
    try:
        case.part.read(changed)
    except AnybindError as error:
        return error
    except Exception as error:
        raise AssertionError(f"{what}: expected AnybindError, got {describe_error(error)}") from error
    return None


@CHECKS.add("make `sniff` return True for files of the format, or None where it has no signature")
def check_sniffs_its_files(case: Case[Reader]) -> None:
    for path in get_files(case):
        verdict = case.part.sniff(head := path.read_bytes()[:HEAD_BYTES])
        assert verdict is True or verdict is None, f"sniff returns {verdict!r} for {path.name}"
        if isinstance(case.spec, ReaderSpec):
            signatures = case.spec.signatures
            assert not signatures or head.startswith(signatures), f"{path.name} begins with none of {signatures}"
            assert path.suffix.lower() in case.spec.suffixes, f"the suffix of {path.name} is not in spec.suffixes"


@CHECKS.add("make `sniff` test the format's signature, return True, False or None, and raise nothing")
def check_leaves_other_files(case: Case[Reader]) -> None:
    for what, head in (("one zero byte", b"\0"), ("zeros", bytes(HEAD_BYTES)), ("noise", NOISE), ("a letter", b"a")):
        verdict = case.part.sniff(head)
        assert verdict is False or verdict is None, f"sniff returns {verdict!r} for {what}"


@CHECKS.add("make `read` return a sample of the spec's modality")
def check_reads_its_files(case: Case[Reader]) -> None:
    for path in get_files(case):
        sample = case.part.read(path)
        assert_sample(case, sample, f"{path.name} becomes")
        if isinstance(case.spec, ReaderSpec) and (modality := find_installed_modality(case.spec.modality)):
            modality.check(sample)


@CHECKS.add("use no randomness in `read`")
def check_deterministic(case: Case[Reader]) -> None:
    for path, sample in zip(get_files(case), get_samples(case), strict=True):
        assert is_equal(sample, case.part.read(path)), f"{path.name}, read twice, becomes two samples"


@CHECKS.add("make `chunks` yield samples in order, at least one; or inherit it")
def check_chunks(case: Case[Reader]) -> None:
    get_samples(case)
    for path in get_files(case):
        chunks = list(case.part.chunks(path, count=100))
        assert chunks, f"chunks yields no sample of {path.name}"
        for chunk in chunks:
            assert_sample(case, chunk, "chunks yields")


@CHECKS.add("raise BadInput with the file and the byte, or return the intact part with an AnybindWarning")
def check_survives_truncation(case: Case[Reader]) -> None:
    for path in get_files(case):
        content = path.read_bytes()
        for length in sorted({1, len(content) - 1, *(int(fraction * len(content)) for fraction in CUTS)} - {0}):
            read_changed(case, path, content[:length], f"{path.name} cut to {length} of {len(content)} bytes")


@CHECKS.add("validate every number of the file before using it; raise BadInput with the byte")
def check_survives_damage(case: Case[Reader]) -> None:
    random = np.random.default_rng(0)
    for path in get_files(case):
        content = np.fromfile(path, np.uint8)
        for copy in range(N_DAMAGED_COPIES):
            damaged = content.copy()
            length = (
                len(content) if copy % 2 else min(len(content), 256)
            )  # half of the damage in the header, which has lengths
            positions = random.integers(0, length, 4)
            damaged[positions] = random.integers(0, 256, 4)
            what = f"{path.name} with the bytes at {sorted(positions.tolist())} changed"
            read_changed(case, path, damaged.tobytes(), what)


@CHECKS.add("raise BadInput with the path if the content is not of the format")
def check_refuses_foreign_files(case: Case[Reader]) -> None:
    path = get_files(case)[0]
    for what, content in (("an empty file", b""), ("a file of zeros", bytes(1000)), ("a file of noise", NOISE[:1000])):
        error = read_changed(case, path, content, what)
        named = error is None or f"changed{path.suffix}" in str(error)
        assert named, f"{what}: the error does not contain the path: {error}"


@CHECKS.add("make `write` create a file that `read` reads; or inherit it")
def check_writes_what_it_reads(case: Case[Reader]) -> None:
    for path, sample in zip(get_files(case), get_samples(case), strict=True):
        written = case.folder / f"written{path.suffix}"
        try:
            case.part.write(sample, written)
        except BadInput as error:
            raise Skip(f"it cannot write this sample ({error})") from error
        again = case.part.read(written)
        message = f"a written {describe_sample(sample)} is read as {describe_sample(again)}"
        assert type(again) is type(sample), message
