"""A search query: a text, a file of any modality that the binding embeds, or several of them together."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anybind import Binder, Embeddings
from anybind.plugin import BadInput, BadOption, Item, errors, modalities, readers, windows
from anybind_retrieval.index import make_absolute
from anybind_retrieval.indexing import get_derive_seed
from anybind_retrieval.sources import TEXT


@dataclass(frozen=True)
class Query:
    """A query before it is embedded.

    Attributes:
        source: the text, or the path as the user gave it.
        modality: `text`, or the modality of the file.
        embedded_as: modality of the encoder; another than `modality` where the sample is derived.
    """

    source: str
    modality: str
    embedded_as: str

    @property
    def path(self) -> str:
        """The absolute path of the file; empty for a text."""
        return "" if self.modality == TEXT else make_absolute(self.source)

    @property
    def paths(self) -> frozenset[str]:
        """The absolute path of the file, if any."""
        return frozenset({self.path} - {""})

    def embed(
        self,
        binder: Binder,
        options: windows.WindowOptions | None = None,
        reader_options: Mapping[str, object] | None = None,
    ) -> Embeddings:
        """Embed the query, with those reader options that it takes: one row, the mean over windows."""
        item: str | Item = self.source
        if self.modality != TEXT:
            (item,) = readers.add_options([Item(self.source, Path(self.source))], reader_options or {}, strict=False)
        seed = get_derive_seed(self.modality, self.embedded_as)
        if not modalities.has_windows(self.embedded_as):
            return binder.embed(self.embedded_as, [item], derive_seed=seed)
        recordings = windows.embed_windows(
            binder, self.embedded_as, [item], options or windows.WindowOptions(), derive_seed=seed
        )
        for recording in recordings:
            if len(recording.embeddings):
                return recording.average()
        raise BadInput(f"{self.source}: nothing to search for: no window of it has events")


@dataclass(frozen=True)
class JointQuery:
    """Several texts and files that are searched for together, before they are embedded.

    Attributes:
        parts: the texts and files, at least one.
        weights: weight of a modality, 1 by default.
    """

    parts: tuple[Query, ...]
    weights: Mapping[str, float]

    @property
    def source(self) -> str:
        """The texts and paths, joined."""
        return " + ".join(part.source for part in self.parts)

    @property
    def modality(self) -> str:
        """The modalities, joined."""
        return "+".join(dict.fromkeys(part.modality for part in self.parts))

    @property
    def embedded_as(self) -> str:
        """The modalities of the encoders, joined."""
        return "+".join(dict.fromkeys(part.embedded_as for part in self.parts))

    @property
    def path(self) -> str:
        """The absolute path of the first file; empty if all are texts."""
        return next((part.path for part in self.parts if part.path), "")

    @property
    def paths(self) -> frozenset[str]:
        """The absolute paths of the files."""
        return frozenset().union(*(part.paths for part in self.parts))

    def embed(
        self,
        binder: Binder,
        options: windows.WindowOptions | None = None,
        reader_options: Mapping[str, object] | None = None,
    ) -> Embeddings:
        """Embed the query: one row, the weighted mean of its parts' embeddings."""
        return Embeddings.fuse([part.embed(binder, options, reader_options) for part in self.parts], self.weights)


def parse_joint_query(
    parts: Mapping[str, object], weights: Mapping[str, float] | None, encoder_modalities: Mapping[str, str]
) -> JointQuery:
    """Return the query for texts and files by modality, of the file or of its encoder; see `parse_query`.

    Raises:
        BadInput, BadOption: as `parse_query`, and for a query without parts.
    """

    def find_encoder(modality: str) -> str:
        return encoder_modalities.get(modality, modality)

    parsed = [
        parse_query(source, encoder_modalities, modality)
        for modality, sources in parts.items()
        for source in (sources if isinstance(sources, list | tuple) else [sources])
    ]
    if not parsed:
        raise BadInput("the query is empty; give a text or a file")
    return JointQuery(tuple(parsed), {find_encoder(name): weight for name, weight in (weights or {}).items()})


def parse_query(query: object, encoder_modalities: Mapping[str, str], embed_as: str = "") -> Query:
    """Return the query for a user's text: the file of that name if there is one, else the text itself.

    Args:
        query: text or path; a `Path` is always a file.
        encoder_modalities: modality that files are embedded as, by the modality of the files.
        embed_as: `text` to force a text query, or the modality to embed the file as, e.g. `event` for an image; also
            `video` where videos are embedded as events.

    Raises:
        BadInput: the query is empty, is the name of a missing file, or cannot be embedded by the binding.
        BadOption: the binding does not embed `embed_as`.
    """
    if embed_as and embed_as not in encoder_modalities:
        raise BadOption(f"the binding embeds no {embed_as}{errors.suggest_names(embed_as, encoder_modalities)}")
    if not isinstance(query, str | os.PathLike):
        raise BadInput(f"expected a text or the path of a file to search for, got {modalities.describe_type(query)}")
    text = os.fspath(query)
    if not text.strip():
        raise BadInput("the query is empty; give a text or a file")
    path = Path(text)
    if embed_as == TEXT or (
        not embed_as and isinstance(query, str) and not _is_file(path) and not _has_known_suffix(path)
    ):
        return Query(text, TEXT, _find_encoder_modality(TEXT, text, encoder_modalities))
    if not _is_file(path):
        hint = "" if embed_as else ", or search for it as a text with --as text"
        raise BadInput(f"there is no file {text}; check the path{hint}")
    modality = readers.find_reader(path, embed_as or None).spec.modality
    if not embed_as:
        return Query(text, modality, _find_encoder_modality(modality, text, encoder_modalities))
    encoder_modality = encoder_modalities[embed_as]
    if modality not in modalities.list_sources(encoder_modality):
        expected = [name for name, target in encoder_modalities.items() if modality in modalities.list_sources(target)]
        hint = f"; expected {' or '.join(expected)}" if expected else ""
        raise BadInput(f"{text!r} is {modality}, which cannot be embedded as {embed_as}{hint}")
    return Query(text, modality, encoder_modality)


def _find_encoder_modality(modality: str, text: str, encoder_modalities: Mapping[str, str]) -> str:
    if modality not in encoder_modalities:
        expected = ", ".join(encoder_modalities)
        raise BadInput(f"{text!r} is {modality}, which the binding does not embed; expected {expected}")
    return encoder_modalities[modality]


def _is_file(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a text too long for a file name
        return False


def _has_known_suffix(path: Path) -> bool:
    return path.suffix.lower() in readers.list_suffixes() and " " not in path.name
