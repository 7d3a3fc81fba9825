"""`Reader`: one file format. `read` chooses the reader by content first and by file name second."""

from __future__ import annotations

import contextlib
import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from anybind.detection import FormatDetector, read_beginning
from anybind.errors import AnybindError, BadInput, BadOption, OnBad, PluginError, suggest_names
from anybind.files import atomic_path, list_files, portable_name
from anybind.item import Item
from anybind.memory import reserve_memory as reserve_memory
from anybind.modality import find_modality, infer_modality
from anybind.part import refuse_arguments, takes_option
from anybind.registry import Part, check_options, find_part, list_parts
from anybind.spec import ModalitySpec, ReaderSpec
from anybind.tables import check_count, list_names

REDUCING_GAP = 8
"""Smallest ratio of the short side of an image that is reduced while decoding (reader option `min_side`) to that of an
encoder's input, so that embeddings differ by a cosine distance below 1e-3."""
NOTE_SUFFIXES = (".txt", ".csv", ".tsv", ".mat")
"""Suffixes of samples that are also those of notes and labels."""


class Reader(ABC):
    """One file format of one modality. Registered as a class without arguments; a process uses one instance.

    Attributes:
        seeks: whether `chunks` decodes only what lies between `start` and `end` (microseconds after the first event or
            None; on the recording's own clock with `absolute`).
    """

    seeks: ClassVar[bool] = False

    @abstractmethod
    def sniff(self, head: bytes) -> bool | None:
        """Return whether a file that begins with `head` (up to 4096 bytes) is of this format.

        Returns:
            True or False if the content decides; None for a format without a signature, where the file name decides.

        Raises:
            BadInput: a variant of the format that is known and not supported; the message says so.
        """

    @abstractmethod
    def read(self, path: Path, /, *args: Any, **options: Any) -> Any:
        """Read the sample in a file; options are keyword arguments.

        Raises:
            BadInput: the file is truncated, corrupt or empty; the message has the path and the position.
        """

    def chunks(self, path: Path, /, *args: Any, count: int, **options: Any) -> Iterator[Any]:
        """Yield the sample in chunks of about `count` entries (events, frames), in order; by default in one chunk."""
        yield self.read(path, **options)

    def write(self, sample: Any, path: Path) -> None:
        """Write a sample; `anybind.write` calls it with a temporary path, which then replaces the real one.

        Raises:
            BadInput: the format is read-only, the default, or cannot represent the sample.
        """
        raise BadInput("this format can be read and not written; choose another ending")

    def write_chunks(self, chunks: Iterable[Any], path: Path) -> None:
        """Write a sample from consecutive chunks, in bounded memory.

        Raises:
            BadInput: the format cannot be written in chunks, the default.
        """
        raise BadInput("this format is written whole; choose another ending")


def list_suffixes(modalities: Iterable[str] | None = None) -> set[str]:
    """Return the file suffixes, lower case with the dot, of the readers of some modalities; of all by default."""
    selected = None if modalities is None else set(modalities)
    specs = [part.spec for part in list_parts(ReaderSpec) if selected is None or part.spec.modality in selected]
    return {suffix for spec in specs for suffix in spec.suffixes}


def list_samples(folder: str | os.PathLike[str], modalities: Iterable[str] | None = None) -> list[Path]:
    """List the files in and below a folder with a suffix of these modalities, of all by default, by path.

    Text files without a sample of these modalities, such as notes about a dataset, are skipped.

    Raises:
        UnknownName: no such modality.
        BadInput: the folder is missing, or has no such file.
    """
    selected = None if modalities is None else set(list_names(modalities))
    return [Path(each) for each in _list_typed_samples(folder, selected)]


def _list_typed_samples(folder: str | os.PathLike[str], modalities: set[str] | None) -> list[Path | SampleFile]:
    """List samples as `list_samples` does, with the readers of the files that were opened."""
    if modalities and not list_suffixes(find_part(ModalitySpec, name).name for name in modalities):
        raise BadInput(f"{folder}: files and class folders hold no {', '.join(sorted(modalities))}")
    samples: list[Path | SampleFile] = []
    for path in (paths := list_files(folder, list_suffixes(modalities))):
        if path.suffix.lower() not in NOTE_SUFFIXES:
            samples.append(path)
            continue
        with contextlib.suppress(BadInput):
            file = SampleFile(path, find_reader(path))
            samples += [file] if modalities is None or file.reader.spec.modality in modalities else []
    if not samples:
        raise BadInput(f"{folder} holds no samples, only notes such as {paths[0].name}")
    return samples


@dataclass(frozen=True)
class SampleFile(os.PathLike[str]):
    """A path with the reader of the file, which then need not be opened again to choose one."""

    path: Path
    reader: Part[ReaderSpec]

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)


def find_reader(
    path: str | os.PathLike[str], modality: str | None = None, options: Mapping[str, object] | None = None
) -> Part[ReaderSpec]:
    """Find the reader of a file; its `spec.modality` is the modality of the sample.

    Args:
        path: the file.
        modality: the expected modality. Its readers take precedence over others that accept the file (a 16-bit gray
            image may be a depth map); if there is none, a reader of another modality is returned.
        options: options to read the file with, such as the order of its columns. If no reader recognises the content,
            the one with the file's suffix that takes these options is returned.

    Raises:
        BadInput: the file is missing, empty or unreadable, or of an unknown format, or several readers accept it and
            the file name does not decide.
    """
    return FormatDetector(path if isinstance(path, Path) else Path(path)).find_reader(modality, options)


def read(path: str | os.PathLike[str], *, reader: str | Part[ReaderSpec] | None = None, **options: object) -> Any:
    """Read the sample in a file: an event recording to an `EventStream`, an image to an RGB array, and so on.

    Args:
        path: the file.
        reader: the reader, by name or from `find_reader`. [default: by content, then by file name]
        options: options of the reader.

    Raises:
        BadInput: the file is missing, unreadable, truncated, empty, or of an unknown format.
        BadOption: an option that the reader does not take.
        MissingExtra: its reader needs packages that are not installed.
    """
    part, path = _resolve_reader(path, reader, options)
    method = part.instance.read
    check_options(f"reader {part.name!r}", method, path, **options)
    try:
        return method(path, **options)
    except Exception:
        with _explain_failures(part, path), part.explain_missing_extra():
            raise


@contextlib.contextmanager
def _explain_failures(part: Part[ReaderSpec], path: Path) -> Iterator[None]:
    """Raise an error with the path for what a reader or its library did not expect in a file."""
    try:
        yield
    except FileNotFoundError as error:  # removed after its reader was found
        raise BadInput(f"cannot read {path}: {error.strerror}; check the path") from error
    except (AnybindError, OSError, ImportError, Warning):
        raise
    except MemoryError as error:
        raise BadInput(f"{path}: not enough memory to read it") from error
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(
            f"{path}: expected a valid file, got an unexpected error of reader {part.name!r} of {part.distribution}"
            f" ({reason}); if other programs open the file, report it"
        ) from error


def read_chunks(
    path: str | os.PathLike[str],
    *,
    count: int = 1_000_000,
    reader: str | Part[ReaderSpec] | None = None,
    **options: object,
) -> Iterator[Any]:
    """Read a sample in chunks of about `count` entries (events, frames), so that a file may be larger than memory.

    Raises:
        BadInput, BadOption, MissingExtra: as `read`; damage raises when its chunk is reached.
    """
    check_count("the count of a chunk", count)
    part, path = _resolve_reader(path, reader, options)
    method = part.instance.chunks
    check_options(f"reader {part.name!r}", method, path, count=count, **options)
    with _explain_failures(part, path), part.explain_missing_extra():
        yield from method(path, count=count, **options)


def _resolve_reader(
    path: str | os.PathLike[str], reader: str | Part[ReaderSpec] | None, options: Mapping[str, object]
) -> tuple[Part[ReaderSpec], Path]:
    """Return the reader of a file, and its path: it is parsed once, which takes as long as to open a small file."""
    if isinstance(path, SampleFile):
        return path.reader if reader is None else _get_reader(path.path, reader), path.path
    path = path if isinstance(path, Path) else Path(path)
    return find_reader(path, options=options) if reader is None else _get_reader(path, reader), path


def _get_reader(path: Path, reader: str | Part[ReaderSpec]) -> Part[ReaderSpec]:
    if isinstance(reader, Part):
        return reader
    read_beginning(path)  # a missing file is reported before an unknown reader
    return find_part(ReaderSpec, reader)


def write(sample: object, path: str | os.PathLike[str], *, format: str | None = None) -> None:
    """Write a sample to a file, atomically.

    Args:
        sample: the sample.
        path: the file.
        format: name of the format, among those with the file's suffix. [default: the first one by name]

    Raises:
        BadInput: no format of the sample's modality has that suffix, or the path cannot be written.
    """
    path = Path(path)
    modality = infer_modality(sample)
    sample = find_modality(modality).as_sample(sample)
    formats = [part for part in list_parts(ReaderSpec) if part.spec.modality == modality]
    for part in formats:
        if path.suffix.lower() in part.spec.written_suffixes and format in (None, part.name):
            with atomic_path(path) as temporary, part.explain_missing_extra():
                try:
                    part.instance.write(sample, temporary)
                except BadInput as error:  # the reader's message would name the temporary path
                    raise BadInput(f"cannot write {path}: {error}") from error
            return
    suffixes = sorted({suffix for part in formats for suffix in part.spec.written_suffixes})
    if path.suffix.lower() in suffixes:
        names = [part.name for part in formats if path.suffix.lower() in part.spec.suffixes]
        raise BadInput(f"cannot write {modality} to {path}: expected the format {' or '.join(names)}, got {format!r}")
    hint = suggest_names(path.suffix, suffixes)
    raise BadInput(f"cannot write {modality} to {path}: no format of that ending{hint} (known: {', '.join(suffixes)})")


def list_sample_files(paths: Iterable[str | os.PathLike[str]], modalities: Iterable[str]) -> list[Path | SampleFile]:
    """List the given files, and the files of these modalities in and below the given folders.

    Raises:
        BadInput: a folder has no samples.
    """
    selected = set(modalities)
    listed = ((_list_typed_samples(path, selected) if path.is_dir() else [path]) for path in map(Path, paths))
    return list(itertools.chain.from_iterable(listed))


def group_by_modality(
    files: Iterable[Path | SampleFile], modalities: Iterable[str], on_bad: OnBad | None = None
) -> dict[str, list[SampleFile]]:
    """Group files by modality; a file that several modalities accept belongs to one of these if possible.

    Raises:
        BadInput: a file is unreadable or of none of these modalities, unless `on_bad` is given, which is then called.
    """
    selected = tuple(modalities)
    groups: dict[str, list[SampleFile]] = {}
    for path in files:
        try:
            file = path if isinstance(path, SampleFile) else SampleFile(path, _find_reader_of(path, selected))
            groups.setdefault(file.reader.spec.modality, []).append(file)
        except AnybindError as error:
            if on_bad is None:
                raise
            on_bad(portable_name(path), error)
    return groups


def make_items(
    groups: Mapping[str, Sequence[Path | SampleFile]], options: Mapping[str, object] | None = None
) -> dict[str, list[Item]]:
    """Make items of files, each with the options that its reader takes; `BadOption` for one that no reader takes."""
    items = [Item(portable_name(file), file) for group in groups.values() for file in group]
    remaining = iter(add_options(items, options or {}))
    return {modality: list(itertools.islice(remaining, len(group))) for modality, group in groups.items()}


def add_options(items: Sequence[Item], options: Mapping[str, object], strict: bool = True) -> list[Item]:
    """Return items of files with the options that their readers take; `BadOption` if none takes one and `strict`."""
    refuse_arguments(options, "anybind", read_chunks)
    result, unused, names = list(items), set(options), set[str]()
    for number, item in enumerate(result if options else ()):
        with contextlib.suppress(AnybindError):  # an invalid file is reported when it is read
            file = item.source
            reader = file.reader if isinstance(file, SampleFile) else find_reader(file, options=options)
            taken = {name: each for name, each in options.items() if takes_option(reader.instance.read, name)}
            result[number] = replace(item, options={**item.options, **taken})
            names.add(reader.name)
            unused -= set(taken)
    if strict and names and unused:
        raise BadOption(f"no reader of these files ({', '.join(sorted(names))}) has an option {min(unused)!r}")
    return result


def _find_reader_of(path: Path, modalities: Sequence[str]) -> Part[ReaderSpec]:
    detector = FormatDetector(path)
    reader = detector.find_reader()
    if reader.spec.modality in modalities:
        return reader
    for modality in modalities:  # a 16-bit gray image is a depth map for a binding of depth without images
        if (other := detector.find_reader(modality)).spec.modality == modality:
            return other
    raise BadInput(
        f"{path} holds {reader.spec.modality}, which the binding does not embed (it embeds {', '.join(modalities)})"
    )
