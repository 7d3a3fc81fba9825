"""An index in a LanceDB database: a folder or a place in an object store, searched where it lies."""

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
from anybind.plugin import BadInput, errors
from anybind_retrieval.index import Card, Draft, Entry, Index, Key, damaged, is_uri

if TYPE_CHECKING:
    import pyarrow

SUFFIX = ".lance"
CARD = "card"
"""The table that holds the card and names the table of files: what it says is what the index is."""
BLOCK = 4096
"""Rows that are written at once."""
INDEXED_FROM = 250_000
"""Rows from which LanceDB gets an approximate index of its own, for `--approximate`: it takes minutes to make."""
LOOKED_AT, REFINED = 32, 10
"""How many of that index's cells are looked into, and how many times more candidates are compared exactly."""


class LanceIndex(Index):
    """An index as `LanceDraft` wrote it. A search reads what it needs from where the tables lie."""

    def __init__(self, where: str, *, approximate: bool = False) -> None:
        """Open it.

        Args:
            where: the folder or URI.
            approximate: search through LanceDB's own index where it has one, and miss an answer now and then.

        Raises:
            BadInput: there is none, or it is damaged or of a later version.
            MissingExtra: LanceDB is not installed.
        """
        self.where = where
        self.approximate = approximate
        if not is_uri(where) and not Path(where).is_dir():  # LanceDB would make the folder
            raise BadInput(f"there is no index {where}; make one with anybind index DIR -o {where}")
        self._entries: dict[str, list[Entry]] = {}
        with _told(where):
            database = _lancedb().connect(where)
            row = database.open_table(CARD).to_arrow().to_pylist()[0]
            self.card = Card.from_table(json.loads(row["card"]))
            self.table_name = str(row["table"])
            self.table = database.open_table(self.table_name)
            # Any metadata may name an embedding function, which LanceDB would then make.
            if not self.table.schema.equals(_schema(self.card.space.dim), check_metadata=True):
                raise ValueError("its table has other columns")

    def entries(self, kind: str) -> Sequence[Entry]:
        if kind not in self._entries:
            with _told(self.where):
                columns = ["path", "size", "mtime", "text"]
                rows = self.table.search().where(_of_kind(kind)).select(columns).to_arrow()
                self._entries[kind] = [Entry(**row) for row in rows.to_pylist()]
        return self._entries[kind]

    def count(self, kind: str) -> int:
        with _told(self.where):
            return self.table.count_rows(_of_kind(kind))

    def candidates(self, kind: str, query: np.ndarray, count: int) -> tuple[Sequence[Entry], np.ndarray]:
        with _told(self.where):
            search = self.table.search(query, vector_column_name="vector", query_type="vector")
            search = search.distance_type("dot").where(_of_kind(kind), prefilter=True).limit(count)
            if self.approximate:
                search = search.nprobes(LOOKED_AT).refine_factor(REFINED)
            else:
                search = search.bypass_vector_index()
            found = search.to_arrow()
            vectors = found["vector"].combine_chunks().flatten().to_numpy().reshape(len(found), -1)
            rows = found.select(["path", "size", "mtime", "text"]).to_pylist()
            return [Entry(**row) for row in rows], vectors


class LanceDraft(Draft):
    """The next state of such an index: rows are written as they come, so that they never fill the memory.

    What was there is replaced row by row, or, where an index is made anew, all at once at the end. A run that
    ends early keeps what it wrote, and the next one goes on from there.
    """

    def __init__(self, where: str, card: Card, former: LanceIndex | None) -> None:
        self.where = where
        self._new = former is None
        self._waiting: list[pyarrow.Table] = []
        self._gone: dict[str, set[Key]] = {}
        with _told(where, "write"):
            self._database = _lancedb().connect(where)
            if former is not None:
                self.table_name, self._table = former.table_name, former.table
                return
            self.table_name = f"files-{uuid4().hex[:12]}"
            self._table = self._database.create_table(self.table_name, schema=_schema(card.space.dim))
            if CARD not in self._database.list_tables().tables:
                self._write_card(card)  # there is nothing to keep, and what comes is to be found again

    def add(self, kind: str, entries: Sequence[Entry], vectors: np.ndarray) -> None:
        self._gone.setdefault(kind, set()).difference_update(entry.key for entry in entries)
        self._waiting.append(_rows(kind, entries, vectors))
        if sum(map(len, self._waiting)) >= BLOCK:
            self._write()

    def drop(self, kind: str, keys: Collection[Key]) -> None:
        self._gone.setdefault(kind, set()).update(keys)

    def _write(self) -> None:
        if not self._waiting:
            return
        import pyarrow

        rows = pyarrow.concat_tables(self._waiting)
        self._waiting = []
        with _told(self.where, "write"):
            if self._new:
                self._table.add(rows)
            else:
                merge = self._table.merge_insert(["modality", "path", "text"])
                merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)

    def finish(self, card: Card) -> None:
        self._write()
        with _told(self.where, "write"):
            for kind, keys in self._gone.items():
                for some in _portions(sorted(keys)):
                    self._table.delete(f"{_of_kind(kind)} AND ({' OR '.join(map(_is_key, some))})")
            kept = {kind: shelf for kind, shelf in card.shelves.items() if self._table.count_rows(_of_kind(kind))}
            self._make_index()
            self._write_card(replace(card, shelves=kept))

    def _make_index(self) -> None:
        if self._table.count_rows() >= INDEXED_FROM and not self._table.list_indices():
            from lancedb.index import IvfPq

            self._table.create_index("vector", config=IvfPq(distance_type="dot"))
        self._table.optimize()  # joins small pieces, and takes new rows into the index

    def _write_card(self, card: Card) -> None:
        """Make the table of files the one that counts, and let go of any other."""
        import pyarrow

        row = pyarrow.table({"card": [json.dumps(card.to_table())], "table": [self.table_name]})
        names = self._database.list_tables().tables
        mode = "overwrite" if CARD in names else "create"
        self._database.create_table(CARD, row, mode=mode)
        for name in set(names) - {CARD, self.table_name}:
            if name.startswith("files-"):
                self._database.drop_table(name)


def exists(where: str) -> bool:
    """Whether there is an index, whole or not; raises `BadInput` where that cannot be found out."""
    if not is_uri(where) and not Path(where).is_dir():
        return False
    with _told(where):
        return CARD in _lancedb().connect(where).list_tables().tables


def check_place(where: str) -> None:
    """Raise `BadInput` or `MissingExtra` where no index can be written, as far as it can be known."""
    _lancedb()
    if is_uri(where):
        return
    path = Path(where)
    if path.exists() and not path.is_dir():
        raise BadInput(f"cannot write {where}: it is no folder; give another name")
    if not path.parent.is_dir():
        raise BadInput(f"cannot write {where}: there is no folder {path.parent}; make it first")


def _schema(dim: int) -> pyarrow.Schema:
    import pyarrow

    whole, words = pyarrow.int64(), pyarrow.string()
    vector = pyarrow.list_(pyarrow.float32(), dim)
    return pyarrow.schema(
        {"path": words, "modality": words, "text": words, "size": whole, "mtime": whole, "vector": vector}
    )


def _rows(kind: str, entries: Sequence[Entry], vectors: np.ndarray) -> pyarrow.Table:
    import pyarrow

    columns = {
        "path": [_utf8(entry.path) for entry in entries],
        "modality": [kind] * len(entries),
        "text": [entry.text for entry in entries],
        "size": [entry.size for entry in entries],
        "mtime": [entry.mtime for entry in entries],
        "vector": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), vectors.shape[1]),
    }
    return pyarrow.table(columns, schema=_schema(vectors.shape[1]))


def _utf8(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = path.encode(errors="backslashreplace").decode()
        raise BadInput(
            f"{shown}: LanceDB keeps only names that are UTF-8; rename it, or use a {SUFFIX} file"
        ) from error
    return path


def _of_kind(kind: str) -> str:
    return f"modality = {_quoted(kind)}"


def _is_key(key: Key) -> str:
    return f"(path = {_quoted(key[0])} AND text = {_quoted(key[1])})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _portions(keys: list[Key], size: int = 200) -> Iterator[list[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _lancedb() -> ModuleType:
    try:
        import lancedb
    except ModuleNotFoundError as error:
        raise errors.MissingExtra(
            "an index that ends in .lance needs LanceDB: pip install 'anybind[search]'"
        ) from error
    return lancedb


@contextlib.contextmanager
def _told(where: str, doing: str = "read") -> Iterator[None]:
    """Turn what LanceDB and Arrow raise, which is of many types, into one line about the index."""
    try:
        yield
    except AnybindError:
        raise
    except Exception as error:
        if doing == "write":
            raise BadInput(f"cannot write {where}: {' '.join(str(error).split())[:160]}") from error
        raise damaged(where, error) from error
