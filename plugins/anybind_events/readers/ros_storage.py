"""Raw messages of ROS 1 bags, ROS 2 bags and MCAP files, read by the package rosbags in bounded memory.

Only the containers are read by rosbags, and not the messages: its deserializers are compiled from the definitions in
the file. A hostile file can state any length, repeat its index, or inflate without end, so that every length is
limited here.
"""

from __future__ import annotations

import bz2
import importlib
import io
import sqlite3
import struct
import sys
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from anybind import AnybindError
from anybind.plugin import BadInput

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

BAG_MAGIC, MCAP_MAGIC, SQLITE_MAGIC = b"#ROSBAG V2.0\n", b"\x89MCAP0\r\n", b"SQLite format 3\0"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""Begins a compressed message of ROS 2; others begin with a zero byte."""
METADATA_KEY = b"rosbag2_bagfile_information"
"""Begins the file `metadata.yaml` in the folder of a ROS 2 bag."""
MAX_METADATA_BYTES = 1 << 20
MAX_INDEX_READS, SPARE_BYTES = 1, 1 << 16
"""Most often that a file is read, in its size, to open it: an index of more repeats itself."""
MAX_READS = 32
"""Most often that a file is read as a whole: chunks whose times overlap are read again."""
MAX_COMPRESSION, MAX_UNCHECKED_BYTES = 60, 1 << 24
"""Maximum compression ratio of a chunk, above a size that is always accepted. That of events is below 10."""
MAX_TOTAL_COMPRESSION = 300
"""Maximum ratio of all chunks of an MCAP file: those whose times overlap are in memory together."""
INFLATED_BYTES = 1 << 20
"""Bytes that are inflated at once to measure a chunk."""
MCAP_HEADER, MCAP_CHUNK = 1, 6
"""Types of MCAP records: the first of a file, and one with compressed messages."""
MCAP_RECORD, MCAP_CHUNK_HEADER = struct.Struct("<BQ"), struct.Struct("<QQQII")
"""Type and length of an MCAP record; times, length, checksum and the length of the compression's name of a chunk."""
MAX_PROFILE_BYTES = 64
SQLITE_HEADER_BYTES = 100
MAX_VALUE_LENGTH = 0
"""Number of SQLite's limit on the length of a value."""
COPY_AGAIN = "copy the file again, or repair it by `rosbag reindex` (ROS 1) or `mcap recover` (MCAP)"


class Topic(NamedTuple):
    """A topic of a bag: its name, the type of its messages, and whether these are serialised as in ROS 1."""

    name: str
    message_type: str
    is_ros1: bool


class BoundedFile(io.BufferedReader):
    """A file that never allocates more than it holds, and can be read a limited number of times."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self.n_bytes, self.n_read, self.reads = path.stat().st_size, 0, MAX_INDEX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        remaining = max(0, self.n_bytes - self.tell())
        data = super().read(remaining if size is None or size < 0 else min(size, remaining))
        self.n_read += len(data)
        if self.n_read > self.reads * self.n_bytes + SPARE_BYTES:
            raise BadInput("damaged: its index repeats parts of the file")
        return data


class BoundedPath(type(Path())):
    """A path that opens as a `BoundedFile`."""

    file: BoundedFile

    def open(self, *args: object, **options: object) -> Any:
        self.file = BoundedFile(self)
        return self.file


class Bag:
    """An open bag; see `open_bag`.

    Attributes:
        topics: all topics, by name.
    """

    def __init__(self, reader: Any, is_ros1: bool) -> None:
        self._reader, self._is_ros1 = reader, is_ros1
        self._connections: dict[str, list[Connection]] = {}
        for connection in reader.connections:
            self._connections.setdefault(connection.topic, []).append(connection)
        self.topics = [
            Topic(name, connections[0].msgtype, is_ros1) for name, connections in sorted(self._connections.items())
        ]

    def read_messages(self, topic: str) -> Iterator[bytes]:
        """Yield the serialised messages of a topic, by the time at which they were recorded."""
        with explain_damage():
            for _, _, data in self._reader.messages(connections=self._connections[topic]):
                yield _inflate_message(data) if data[:4] == ZSTD_MAGIC and not self._is_ros1 else data


@contextmanager
def explain_damage() -> Iterator[None]:
    """Raise `BadInput` for any error of rosbags, which checks little and documents few of them."""
    try:
        yield
    except (AnybindError, ImportError, GeneratorExit, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise BadInput(f"not a complete bag: {reason}; {COPY_AGAIN}") from error


@contextmanager
def open_bag(path: Path) -> Iterator[list[Bag]]:
    """Open a bag by its content: one storage, or those that a `metadata.yaml` lists, in order of time.

    Raises:
        BadInput: it is damaged, or of an unsupported version, profile or compression.
        ModuleNotFoundError: the package rosbags is missing.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    storages = _list_storages(path) if METADATA_KEY in head else [path]
    with ExitStack() as stack:
        bags = []
        for storage in storages:
            with explain_damage():
                bags.append(_open_storage(storage, stack))
        yield bags


def _list_storages(path: Path) -> list[Path]:
    """Return the files that the metadata of a ROS 2 bag lists."""
    from ruamel.yaml import YAML  # required by rosbags

    if path.stat().st_size > MAX_METADATA_BYTES:
        raise BadInput(f"expected at most {MAX_METADATA_BYTES} bytes of metadata, got {path.stat().st_size}")
    with explain_damage():
        metadata = YAML(typ="safe").load(path.read_text(encoding="utf-8"))[METADATA_KEY.decode()]
        names = [Path(name).name for name in metadata["relative_file_paths"]]
        mode = str(metadata.get("compression_mode") or "none").lower()
    if mode == "file":
        raise BadInput("its files are compressed; decompress them by `zstd -d`, and read them one by one")
    if missing := [name for name in names if not path.with_name(name).is_file()]:
        raise BadInput(f"lists the file {missing[0]}, which is missing; copy the whole folder")
    return [path.with_name(name) for name in names]


def _open_storage(path: Path, stack: ExitStack) -> Bag:
    """Open a storage file by its signature, with all limits set; the stack closes it."""
    from rosbags.rosbag1 import Reader as Bag1Reader
    from rosbags.rosbag2 import Reader as Bag2Reader

    with path.open("rb") as file:
        magic = file.read(len(SQLITE_MAGIC))
    if magic == SQLITE_MAGIC:
        _check_database(path)
        database: Any = Bag2Reader.STORAGE_PLUGINS[".db3"](Path(urllib.parse.quote(str(path.absolute()))))
        database.open()
        stack.callback(database.close)
        database.dbconn.limit(MAX_VALUE_LENGTH, path.stat().st_size)
        return Bag(database, is_ros1=False)
    is_mcap, bounded = magic.startswith(MCAP_MAGIC), BoundedPath(path)
    chunks = _measure_mcap_chunks(bounded) if is_mcap else {}
    reader: Any = Bag2Reader.STORAGE_PLUGINS[".mcap"](bounded) if is_mcap else Bag1Reader(bounded)
    reader.open()
    stack.callback(reader.close)
    if is_mcap:
        stated = {each.chunk_start_offset: (each.uncompressed_size, each.compressed_size) for each in reader.chunks}
        if not stated.items() <= chunks.items():
            raise BadInput(f"damaged: its index does not fit its chunks; {COPY_AGAIN}")
    else:
        _limit_inflation(reader.chunks)
    bounded.file.reads = MAX_READS
    return Bag(reader, is_ros1=not is_mcap)


def _limit_inflation(chunks: dict[int, Any]) -> None:
    """Replace the decompressors of the chunks of a ROS 1 bag by ones with a limit."""
    import lz4.frame

    decompressors = {bz2.decompress: bz2.BZ2Decompressor, lz4.frame.decompress: lz4.frame.LZ4FrameDecompressor}
    for position, chunk in chunks.items():
        if create := decompressors.get(chunk.decompressor):
            limit = MAX_COMPRESSION * chunk.datasize + MAX_UNCHECKED_BYTES
            chunks[position] = chunk._replace(decompressor=partial(_inflate_chunk, create, limit))


def _import_zstd() -> ModuleType:
    """Import the module that rosbags requires, which is part of Python from 3.14 on."""
    return importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")


def _inflate_message(data: bytes) -> bytes:
    return _inflate_chunk(_import_zstd().ZstdDecompressor, MAX_COMPRESSION * len(data) + MAX_UNCHECKED_BYTES, data)


def _inflate_chunk(create: Callable[[], Any], limit: int, data: bytes) -> bytes:
    content = io.BytesIO()
    for block in _inflate_blocks(create, data, limit):
        content.write(block)
    return content.getvalue()


def _inflate_blocks(create: Callable[[], Any], data: bytes, limit: int) -> Iterator[bytes]:
    """Yield inflated data in blocks; raise `BadInput` if they exceed a number of bytes."""
    n_inflated = 0
    while data:
        decompressor = create()
        block = decompressor.decompress(data, INFLATED_BYTES)
        while True:
            n_inflated += len(block)
            if n_inflated > limit:
                raise BadInput(f"a chunk of {len(data)} bytes inflates to more than {limit}")
            yield block
            if decompressor.eof:
                break
            block = decompressor.decompress(b"", INFLATED_BYTES)
            if not block and decompressor.needs_input and not decompressor.eof:
                raise EOFError("a compressed chunk ends early")
        data = decompressor.unused_data


def _measure_mcap_chunks(path: Path) -> dict[int, tuple[int, int]]:
    """Return the bytes of each chunk of an MCAP file by its position, inflated and stored, after inflating it once.

    Raises:
        BadInput: a chunk inflates to more or less than it states, or all to more than any recording; or the file is
            not of ROS 2.
    """
    import lz4.frame

    decompressors = {b"lz4": lz4.frame.LZ4FrameDecompressor, b"zstd": _import_zstd().ZstdDecompressor}
    chunks: dict[int, tuple[int, int]] = {}
    with BoundedFile(path) as file:
        n_left = MAX_TOTAL_COMPRESSION * file.n_bytes + MAX_UNCHECKED_BYTES
        file.seek(len(MCAP_MAGIC))
        while len(record := file.read(MCAP_RECORD.size)) == MCAP_RECORD.size:
            start, (kind, length) = file.tell(), MCAP_RECORD.unpack(record)
            if kind == MCAP_HEADER:
                profile = file.read(4 + MAX_PROFILE_BYTES)
                profile = profile[4:][: int.from_bytes(profile[:4], "little")].decode(errors="replace")
                if profile != "ros2":
                    raise BadInput(f"expected an MCAP file of profile 'ros2', got {profile!r}")
            elif kind == MCAP_CHUNK:
                _, _, n_inflated, _, n_name = MCAP_CHUNK_HEADER.unpack(file.read(MCAP_CHUNK_HEADER.size))
                name, n_stored = file.read(n_name), int.from_bytes(file.read(8), "little")
                data = file.read(n_stored)
                create = decompressors.get(name)
                limit = min(n_left, MAX_COMPRESSION * n_stored + MAX_UNCHECKED_BYTES)
                blocks = _inflate_blocks(create, data, limit) if create else [data]
                if sum(map(len, blocks)) != n_inflated:
                    raise BadInput(f"damaged: the chunk at byte {start} does not have the length that it states")
                n_left -= n_inflated
                chunks[start - MCAP_RECORD.size] = n_inflated, n_stored
            if start + length > file.n_bytes:
                break  # rosbags reports the truncation
            file.seek(start + length)
    return chunks


def _check_database(path: Path) -> None:
    """Raise `BadInput` for missing pages, tables that compute their content, which has no limit, or an unmerged log."""
    with path.open("rb") as file:
        header = file.read(SQLITE_HEADER_BYTES)
    # The number 1 is a length of 65536.
    page_bytes, n_pages = (int.from_bytes(header[start:end], "big") for start, end in ((16, 18), (28, 32)))
    if path.stat().st_size < n_pages * (page_bytes if page_bytes > 1 else 1 << 16):
        raise BadInput(f"truncated: {n_pages} pages stated in a file of {path.stat().st_size} bytes; {COPY_AGAIN}")
    log = path.with_name(f"{path.name}-wal")
    if log.is_file() and log.stat().st_size:
        raise BadInput(f"its last messages are in {log.name}; open it once by `sqlite3`, which writes them back")
    location = f"file:{urllib.parse.quote(str(path.absolute()))}?mode=ro&immutable=1"
    with closing(sqlite3.connect(location, uri=True)) as database:
        for kind, name, sql in database.execute("select type, name, sql from sqlite_master").fetchall():
            computes = kind == "view" or "virtual" in (sql or "").lower()[:100]
            if kind == "table" and not computes:
                columns = database.execute("select hidden from pragma_table_xinfo(?)", (name,)).fetchall()
                computes = any(hidden for (hidden,) in columns)
            if computes:
                raise BadInput(f"expected plain tables, as in a ROS 2 bag; the content of {name!r} is computed")
