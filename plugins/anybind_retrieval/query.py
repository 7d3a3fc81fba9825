"""What is searched for: a text, or a file of any kind that the binding embeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anybind import Binder, Embeddings
from anybind.plugin import BadInput, BadOption, errors, readers
from anybind_retrieval.index import absolute
from anybind_retrieval.indexing import SEED
from anybind_retrieval.wanted import TEXT


@dataclass(frozen=True)
class Query:
    """A query before it is embedded.

    Attributes:
        shown: the text, or the path as it was given.
        kind: `text`, or the modality of what the file holds.
        embedded_as: the modality whose encoder takes it; another than `kind` where that is derived from it.
    """

    shown: str
    kind: str
    embedded_as: str

    @property
    def path(self) -> str:
        """The absolute path of the file; empty for a text."""
        return "" if self.kind == TEXT else absolute(self.shown)

    def embed(self, binder: Binder) -> Embeddings:
        """Embed the query: one row."""
        item = self.shown if self.kind == TEXT else Path(self.shown)
        derived = self.kind != self.embedded_as
        return binder.embed(self.embedded_as, [item], derive_seed=SEED if derived else None)


def find_query(text: str, kinds: Mapping[str, str], embed_as: str = "") -> Query:
    """What a user means by a query: the file of that name where there is one, else the words.

    Args:
        text: as typed.
        kinds: the kinds of file that the binding embeds, and what each is embedded as.
        embed_as: `text` where a file is not meant, or what the file is embedded as: `event` of a picture.

    Raises:
        BadInput: the query is empty, or is named like a file that is not there, or the binding cannot embed it.
        BadOption: the binding does not embed what the query shall be embedded as.
    """
    if embed_as and embed_as not in set(kinds.values()):
        raise BadOption(f"the binding embeds no {embed_as}{errors.suggest_names(embed_as, set(kinds.values()))}")
    if not text.strip():
        raise BadInput("the query is empty; give a text or a file")
    path = Path(text)
    if embed_as == TEXT or (not embed_as and not _is_file(path) and not _named_like_a_file(path)):
        return Query(text, TEXT, _embedded(TEXT, text, kinds))
    if not _is_file(path):
        raise BadInput(f"there is no file {text}; check the path, or search for the words themselves with --as text")
    held = readers.find_reader(path, embed_as or None).spec.modality
    return Query(text, held, embed_as or _embedded(held, text, kinds))


def _embedded(kind: str, text: str, kinds: Mapping[str, str]) -> str:
    if kind not in kinds:
        raise BadInput(f"{text!r} is {kind}, which the binding does not embed (it embeds {', '.join(kinds)})")
    return kinds[kind]


def _is_file(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # words too long for a file name
        return False


def _named_like_a_file(path: Path) -> bool:
    return path.suffix.lower() in readers.list_suffixes() and " " not in path.name
