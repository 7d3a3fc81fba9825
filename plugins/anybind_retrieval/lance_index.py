"""An index in a LanceDB database: a folder or a location in an object store, searched without a download."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np

from anybind import AnybindError
from anybind.plugin import BadInput, errors, files
from anybind_retrieval.index import EntryKey, Index, IndexCard, IndexEntry, IndexWriter, is_uri, make_damage_error

if TYPE_CHECKING:
    import pyarrow

SUFFIX = ".lance"
CARD_TABLE = "card"
"""Table of the card and the name of the current table of files; replacing its row switches the index atomically."""
WAIT_SECONDS = 600.0
"""How long a writer waits for others that write rows to the same index."""
WRITE_ROWS = 4096
"""Rows written at a time."""
ANN_MIN_ROWS = 250_000
"""Rows from which LanceDB builds an approximate (IVF-PQ) index for `--approximate`; building it takes minutes."""
NPROBES, REFINE_FACTOR = 32, 10
"""Cells of the approximate index that are searched, and exactly compared candidates per result."""
SAMPLE_BLOCKS = 16
"""Ranges of consecutive rows that `sample_vectors` reads: one query each."""


class LanceIndex(Index):
    """An index written by `LanceIndexWriter`; a search reads only the rows that it needs."""

    def __init__(self, location: str, *, approximate: bool = False) -> None:
        """Open an index.

        Args:
            location: folder or URI.
            approximate: use LanceDB's approximate index where there is one; some nearest entries may be missed.

        Raises:
            BadInput: the index is missing, damaged or of a later version.
            MissingExtra: LanceDB is not installed.
        """
        self.location = location
        self.approximate = approximate
        if not is_uri(location) and not Path(location).is_dir():  # LanceDB would make the folder
            raise BadInput(f"there is no index {location}; make one with anybind index DIR -o {location}")
        self._entries: dict[str, list[IndexEntry]] = {}
        with _convert_errors(location):
            database = _import_lancedb().connect(location)
            row = database.open_table(CARD_TABLE).to_arrow().to_pylist()[0]
            self.card = IndexCard.from_table(json.loads(row["card"]))
            self.table_name = str(row["table"])
            self.table = database.open_table(self.table_name)
            # Metadata could name an embedding function, which LanceDB would create.
            if not self.table.schema.equals(_make_schema(self.card.space.dim), check_metadata=True):
                raise ValueError("unexpected columns or metadata")

    def list_entries(self, modality: str) -> Sequence[IndexEntry]:
        if modality not in self._entries:
            with _convert_errors(self.location):
                columns = ["path", "size", "mtime", "text"]
                rows = self.table.search().where(_filter_modality(modality)).select(columns).to_arrow()
                self._entries[modality] = [IndexEntry(**row) for row in rows.to_pylist()]
        return self._entries[modality]

    def count_entries(self, modality: str) -> int:
        with _convert_errors(self.location):
            return self.table.count_rows(_filter_modality(modality))

    def find_candidates(self, modality: str, query: np.ndarray, count: int) -> tuple[Sequence[IndexEntry], np.ndarray]:
        with _convert_errors(self.location):
            search = self.table.search(query, vector_column_name="vector", query_type="vector")
            search = search.distance_type("dot").where(_filter_modality(modality), prefilter=True).limit(count)
            if self.approximate:
                search = search.nprobes(NPROBES).refine_factor(REFINE_FACTOR)
            else:
                search = search.bypass_vector_index()
            results = search.to_arrow()
            rows = results.select(["path", "size", "mtime", "text"]).to_pylist()
            return [IndexEntry(**row) for row in rows], _read_vectors(results)

    def sample_vectors(self, modality: str, count: int) -> np.ndarray:
        total = self.count_entries(modality)
        blocks = 1 if total <= count else SAMPLE_BLOCKS
        vectors = []
        with _convert_errors(self.location):
            for block in range(blocks):
                search = self.table.search().where(_filter_modality(modality)).select(["vector"])
                results = search.limit(count // blocks).offset(total * block // blocks).to_arrow()
                vectors.append(_read_vectors(results))
        return np.concatenate(vectors)


class LanceIndexWriter(IndexWriter):
    """The next state of such an index; rows are written as they come, in bounded memory.

    An existing index is updated row by row; a rebuilt one is switched at the end. An interrupted run keeps its rows,
    and the next run resumes after them.
    """

    def __init__(self, location: str, card: IndexCard, previous: LanceIndex | None) -> None:
        self.location = location
        self._is_new = previous is None
        self._pending: list[pyarrow.Table] = []
        self._dropped: dict[str, set[EntryKey]] = {}
        with _convert_errors(location, "write"):
            self._database = _import_lancedb().connect(location)
            if previous is not None:
                self.table_name, self._table = previous.table_name, previous.table
                return
            self.table_name = f"files-{uuid4().hex[:12]}"
            self._table = self._database.create_table(self.table_name, schema=_make_schema(card.space.dim))
            if CARD_TABLE not in self._database.list_tables().tables:
                self._write_card(card)  # a first run has no index to preserve, and must be resumable

    def add(self, modality: str, entries: Sequence[IndexEntry], vectors: np.ndarray) -> None:
        self._dropped.setdefault(modality, set()).difference_update(entry.key for entry in entries)
        self._pending.append(_make_rows(modality, entries, vectors))
        if sum(map(len, self._pending)) >= WRITE_ROWS:
            self._write_rows()

    def drop(self, modality: str, keys: Collection[EntryKey]) -> None:
        self._dropped.setdefault(modality, set()).update(keys)

    def _write_rows(self) -> None:
        if not self._pending:
            return
        import pyarrow

        rows = pyarrow.concat_tables(self._pending)
        self._pending = []
        with lock_location(self.location), _convert_errors(self.location, "write"):
            if self._is_new:
                self._table.add(rows)
            else:
                merge = self._table.merge_insert(["modality", "path", "text"])
                merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def finish(self, card: IndexCard) -> None:
        self._write_rows()
        with lock_location(self.location), _convert_errors(self.location, "write"):
            self._table.checkout_latest()
            card = self._merge_card(card)
            for modality, keys in self._dropped.items():
                for chunk in _split_keys(sorted(keys)):
                    self._table.delete(f"{_filter_modality(modality)} AND ({' OR '.join(map(_filter_key, chunk))})")
            encoders = {
                modality: encoder
                for modality, encoder in card.encoders.items()
                if self._table.count_rows(_filter_modality(modality))
            }
            self._build_ann_index()
            self._write_card(replace(card, encoders=encoders))

    def _merge_card(self, card: IndexCard) -> IndexCard:
        """Return a card with the encoders of other processes that have added to the same table."""
        try:
            current = LanceIndex(self.location)
        except BadInput:
            if self._is_new:  # a damaged index is replaced
                return card
            raise
        if current.table_name != self.table_name:
            return card
        current.card.require_encoders(card, self.location)
        return replace(card, encoders=dict(sorted({**current.card.encoders, **card.encoders}.items())))

    def _build_ann_index(self) -> None:
        if self._table.count_rows() >= ANN_MIN_ROWS and not self._table.list_indices():
            from lancedb.index import IvfPq

            self._table.create_index("vector", config=IvfPq(distance_type="dot"))
        self._table.optimize()  # compacts fragments, and adds new rows to the approximate index

    def _write_card(self, card: IndexCard) -> None:
        """Switch the index to this writer's table, and delete all other tables of files."""
        import pyarrow

        row = pyarrow.table({"card": [json.dumps(card.to_table())], "table": [self.table_name]})
        names = self._database.list_tables().tables
        mode = "overwrite" if CARD_TABLE in names else "create"
        self._database.create_table(CARD_TABLE, row, mode=mode)
        for name in set(names) - {CARD_TABLE, self.table_name}:
            if name.startswith("files-"):
                self._database.drop_table(name)


def lock_location(location: str) -> contextlib.AbstractContextManager[None]:
    """Lock an index against other writers within a `with` block; a URI is not locked."""
    return contextlib.nullcontext() if is_uri(location) else files.lock_output(location, WAIT_SECONDS)


def exists(location: str) -> bool:
    """Return whether there is an index, complete or not; raise `BadInput` if the location cannot be read."""
    if not is_uri(location) and not Path(location).is_dir():
        return False
    with _convert_errors(location):
        return CARD_TABLE in _import_lancedb().connect(location).list_tables().tables


def check_location(location: str) -> None:
    """Raise `BadInput` or `MissingExtra` if an index cannot be written to a location; URIs are not checked."""
    _import_lancedb()
    if is_uri(location):
        return
    path = Path(location)
    if path.exists() and not path.is_dir():
        raise BadInput(f"cannot write {location}: expected a folder, got a file; give another name")
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {location}: there is no folder {path.parent}; make it first")


def _make_schema(dim: int) -> pyarrow.Schema:
    import pyarrow

    integer, string = pyarrow.int64(), pyarrow.string()
    vector = pyarrow.list_(pyarrow.float32(), dim)
    return pyarrow.schema(
        {"path": string, "modality": string, "text": string, "size": integer, "mtime": integer, "vector": vector}
    )


def _make_rows(modality: str, entries: Sequence[IndexEntry], vectors: np.ndarray) -> pyarrow.Table:
    import pyarrow

    columns = {
        "path": [_require_utf8(entry.path) for entry in entries],
        "modality": [modality] * len(entries),
        "text": [entry.text for entry in entries],
        "size": [entry.size for entry in entries],
        "mtime": [entry.mtime for entry in entries],
        "vector": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), vectors.shape[1]),
    }
    return pyarrow.table(columns, schema=_make_schema(vectors.shape[1]))


def _read_vectors(rows: pyarrow.Table) -> np.ndarray:
    return rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1)


def _require_utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        escaped = path.encode(errors="backslashreplace").decode()
        raise BadInput(
            f"{escaped}: LanceDB stores only names that are UTF-8; rename it, or use a .safetensors file"
        ) from error
    return path


def _filter_modality(modality: str) -> str:
    return f"modality = {_quote(modality)}"


def _filter_key(key: EntryKey) -> str:
    return f"(path = {_quote(key[0])} AND text = {_quote(key[1])})"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _split_keys(keys: list[EntryKey], size: int = 200) -> Iterator[list[EntryKey]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _import_lancedb() -> ModuleType:
    try:
        import lancedb
    except ModuleNotFoundError as error:
        raise errors.MissingExtra(
            "an index that ends in .lance needs LanceDB: pip install 'anybind[search]'"
        ) from error
    return lancedb


@contextlib.contextmanager
def _convert_errors(location: str, action: str = "read") -> Iterator[None]:
    """Convert any exception of LanceDB and Arrow, which are of many types, into a one-line `BadInput`."""
    try:
        yield
    except AnybindError:
        raise
    except Exception as error:
        if action == "write":
            raise BadInput(f"cannot write {location}: {' '.join(str(error).split())[:160]}") from error
        raise make_damage_error(location, error) from error
