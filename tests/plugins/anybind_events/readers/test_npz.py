"""`.npz` recordings: our layout, N-ImageNet's, and damaged or malicious archives."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.reader import find_reader
from anybind_events.readers.npz import NpzReader
from anybind_events.stream import EventStream
from helpers.streams import event_streams, list_contents

COLUMNS = {"x": [1, 2, 3], "y": [4, 5, 6], "t": [10, 20, 30], "p": [1, 0, 1]}


@pytest.fixture(scope="module")
def written() -> EventStream:
    return EventStream(**COLUMNS, width=34, height=20)


@pytest.fixture(scope="module")
def raw(folder: Path, written: EventStream) -> bytes:
    anybind.write(written, folder / "whole.npz")
    return (folder / "whole.npz").read_bytes()


@settings(deadline=None)
@given(stream=event_streams(st.integers(-(2**62), 2**62)))
@example(stream=EventStream([], [], [], [], 34, 20))
def test_a_written_recording_is_read_back_with_its_sensor_size(folder: Path, stream: EventStream) -> None:
    anybind.write(stream, folder / "round.npz")
    assert list_contents(anybind.read(folder / "round.npz")) == list_contents(stream)


def test_a_written_archive_contains_columns_and_size(folder: Path, raw: bytes) -> None:
    (folder / "named.npz").write_bytes(raw)
    with np.load(folder / "named.npz", allow_pickle=False) as archive:
        names = {name: archive[name].tolist() for name in archive.files}
    assert names == {
        "x": [1, 2, 3],
        "y": [4, 5, 6],
        "t": [10, 20, 30],
        "p": [True, False, True],
        "size": [34, 20],
    }


def test_an_archive_without_compression_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "plain.npz", **COLUMNS, size=[34, 20])
    assert list_contents(anybind.read(tmp_path / "plain.npz")) == (*COLUMNS.values(), 34, 20)


def test_without_a_recorded_size_the_sensor_is_the_smallest_common_one(tmp_path: Path) -> None:
    np.savez(tmp_path / "bare.npz", **COLUMNS)
    stream = anybind.read(tmp_path / "bare.npz")
    assert (stream.width, stream.height) == (34, 34)


def test_the_size_option_overrides_the_recorded_size(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "sized.npz").write_bytes(raw)
    stream = anybind.read(tmp_path / "sized.npz", size=(100, 50))
    assert (stream.width, stream.height) == (100, 50)


@pytest.mark.parametrize("polarities", [[1, 0, 1], [1, -1, 1], [True, False, True]])
def test_off_can_be_0_minus_1_or_false(tmp_path: Path, polarities: list[int]) -> None:
    np.savez(tmp_path / "polarity.npz", **{**COLUMNS, "p": polarities})
    assert anybind.read(tmp_path / "polarity.npz").p.tolist() == [True, False, True]


def n_imagenet(*events: tuple[int, int, int, bool]) -> np.ndarray:
    return np.array(list(events), dtype=[("x", np.uint16), ("y", np.uint16), ("t", np.int64), ("p", np.bool_)])


def test_an_archive_of_n_imagenet_has_a_sensor_of_640_by_480(tmp_path: Path) -> None:
    table = n_imagenet((1, 2, 3, True), (639, 479, 4, False))
    np.savez_compressed(tmp_path / "imagenet.npz", event_data=table)
    stream = anybind.read(tmp_path / "imagenet.npz")
    assert list_contents(stream) == ([1, 639], [2, 479], [3, 4], [True, False], 640, 480)


def test_an_n_imagenet_event_outside_the_sensor_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "imagenet.npz", event_data=n_imagenet((1, 2, 3, True), (640, 0, 4, False)))
    with pytest.raises(BadInput, match=r"imagenet\.npz.*event 1.*x = 640"):
        anybind.read(tmp_path / "imagenet.npz")


@pytest.mark.parametrize("missing", ["x", "y", "t", "p"])
def test_an_archive_without_one_column_is_an_error_that_lists_the_arrays(tmp_path: Path, missing: str) -> None:
    names = {name: column for name, column in COLUMNS.items() if name != missing}
    np.savez(tmp_path / "lacking.npz", **names)
    with pytest.raises(BadInput, match=rf"lacking\.npz.*columns x, y, t, p, got: {', '.join(names)}"):
        anybind.read(tmp_path / "lacking.npz")


def test_a_structured_array_without_one_field_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "lacking.npz", event_data=np.zeros(3, dtype=[("x", "u2"), ("y", "u2"), ("t", "i8")]))
    with pytest.raises(BadInput, match=r"lacking\.npz.*got: event_data"):
        anybind.read(tmp_path / "lacking.npz")


def test_an_archive_of_other_arrays_is_an_error_that_lists_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=[1.0], bias=[2.0])
    with pytest.raises(BadInput, match=r"other\.npz: expected event columns.*weights, bias"):
        anybind.read(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "changed",
    [
        {"x": [1, 2]},
        {"size": [2, 2]},
        {"size": [34, 20, 3]},
        {"size": 34},
        {"size": [np.inf, 20]},
        {"x": [1, np.inf, 3]},
        {"y": [np.nan, 1, 1]},
        {"x": ["one", "two", "three"]},
        {"t": ["one", "two", "three"]},
        {"p": ["up", "down", "up"]},
        {"x": [[1, 2, 3]]},
    ],
    ids=str,
)
def test_invalid_columns_are_an_error_that_names_the_file(tmp_path: Path, changed: dict[str, object]) -> None:
    np.savez(tmp_path / "wrong.npz", **{**COLUMNS, **changed})
    with pytest.raises(BadInput, match=r"wrong\.npz"):
        anybind.read(tmp_path / "wrong.npz")


@settings(deadline=None)
@given(data=st.data())
def test_an_archive_truncated_at_any_byte_is_an_error_that_names_the_file(
    folder: Path, raw: bytes, data: st.DataObject
) -> None:
    (folder / "cut.npz").write_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(BadInput, match=r"cut\.npz"):
        anybind.read(folder / "cut.npz")
    # The reader can also be selected by name, without content detection.
    with pytest.raises(BadInput, match=r"cut\.npz"):
        anybind.read(folder / "cut.npz", reader="npz-events")


def flip_bits(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the archive with one bit of one byte flipped: every byte, two bits each."""
    # Bits 0 and 5 reach the flags of a zip entry: encrypted, and patched data.
    for at in range(len(raw)):
        for bit in (0, 5):
            yield f"bit {bit} of byte {at}", raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]


@pytest.fixture(scope="module")
def read_damaged(folder: Path, raw: bytes) -> dict[str, EventStream | Exception]:
    """Return the result or error of reading each damaged archive."""
    outcomes: dict[str, EventStream | Exception] = {}
    for where, bent in flip_bits(raw):
        (folder / "bent.npz").write_bytes(bent)
        try:
            outcomes[where] = NpzReader().read(folder / "bent.npz")
        except Exception as error:
            outcomes[where] = error
    return outcomes


@pytest.mark.slow
def test_an_archive_with_a_flipped_bit_is_read_or_rejected(
    read_damaged: dict[str, EventStream | Exception],
) -> None:
    failed = {where: got for where, got in read_damaged.items() if not isinstance(got, EventStream | BadInput)}
    assert failed == {}


@pytest.mark.slow
def test_an_archive_with_a_flipped_bit_never_gives_another_recording(
    read_damaged: dict[str, EventStream | Exception], written: EventStream
) -> None:
    streams = {where: got for where, got in read_damaged.items() if isinstance(got, EventStream)}
    assert streams
    assert [where for where, stream in streams.items() if list_contents(stream) != list_contents(written)] == []


@settings(deadline=None)
@given(data=st.data())
def test_an_archive_with_overwritten_bytes_is_read_or_rejected(folder: Path, raw: bytes, data: st.DataObject) -> None:
    bent = bytearray(raw)
    for at, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), min_size=1, max_size=8)
    ):
        bent[at] = value
    (folder / "bent.npz").write_bytes(bent)
    try:
        stream = anybind.read(folder / "bent.npz", reader="npz-events")
    except BadInput:
        return
    assert isinstance(stream, EventStream)


def write_trap_column(path: Path, trap: object) -> None:
    np.savez(path, **{**COLUMNS, "x": np.array([trap, 2, 3], dtype=object)})


def write_trap_table(path: Path, trap: object) -> None:
    np.savez(path, event_data=np.array([trap], dtype=object))


def write_trap_size(path: Path, trap: object) -> None:
    np.savez(path, **COLUMNS, size=np.array([trap, 20], dtype=object))


def write_bare_trap(path: Path, trap: object) -> None:
    path.write_bytes(pickle.dumps(trap))


@pytest.mark.parametrize("write_trap", [write_trap_column, write_trap_table, write_trap_size, write_bare_trap])
def test_a_pickle_is_an_error_and_never_executed(tmp_path: Path, trap, write_trap) -> None:
    path = tmp_path / "trap.npz"
    write_trap(path, trap)
    with pytest.raises(BadInput, match=r"trap\.npz"):
        anybind.read(path, reader="npz-events")
    assert not trap.sprung.exists()
    # The trap is real: the file contains the call that unpickling would execute.
    assert b"mkdir" in path.read_bytes()
    assert bytes(trap.sprung) in path.read_bytes()


def test_the_reader_is_found_by_content_and_suffix(folder: Path, raw: bytes) -> None:
    (folder / "FOUND.NPZ").write_bytes(raw)
    result = find_reader(folder / "FOUND.NPZ")
    assert (result.name, result.spec.modality) == ("npz-events", "event")


def test_an_archive_of_another_suffix_is_read_with_the_reader_option(
    tmp_path: Path, raw: bytes, written: EventStream
) -> None:
    (tmp_path / "recording.dat").write_bytes(raw)
    assert list_contents(anybind.read(tmp_path / "recording.dat", reader="npz-events")) == list_contents(written)


@pytest.mark.parametrize("reader", [None, "npz-events"])
@pytest.mark.parametrize("content", [b"neither an archive nor a table\n", b"PK", b"", b"\x93NUMPY\x01\x00"])
def test_an_invalid_npz_file_is_an_error_that_names_the_file(
    tmp_path: Path, content: bytes, reader: str | None
) -> None:
    (tmp_path / "text.npz").write_bytes(content)
    with pytest.raises(BadInput, match=r"text\.npz"):
        anybind.read(tmp_path / "text.npz", reader=reader)


def test_a_single_array_with_the_suffix_npz_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "single.npz").open("wb") as file:
        np.save(file, np.arange(3))
    with pytest.raises(BadInput, match=r"single\.npz"):
        anybind.read(tmp_path / "single.npz", reader="npz-events")


def test_a_suffix_without_an_event_format_is_not_written(tmp_path: Path, written: EventStream) -> None:
    with pytest.raises(BadInput, match=r"\.npz"):
        anybind.write(written, tmp_path / "recording.xyz")
    assert list(tmp_path.iterdir()) == []


def test_columns_are_found_by_common_names_with_units(tmp_path: Path) -> None:
    x, y, t, p = COLUMNS.values()
    np.savez(tmp_path / "names.npz", xs=x, ys=y, timestamp_ms=t, polarity=p, labels=[7])
    assert anybind.read(tmp_path / "names.npz").t.tolist() == [10_000, 20_000, 30_000]
    assert anybind.read(tmp_path / "names.npz", time_unit="us").t.tolist() == [10, 20, 30]


def test_times_with_fractions_are_seconds(tmp_path: Path) -> None:
    np.savez(tmp_path / "seconds.npz", **{**COLUMNS, "t": [0.5, 1.0, 1.000001]})
    assert anybind.read(tmp_path / "seconds.npz").t.tolist() == [500_000, 1_000_000, 1_000_001]


@pytest.mark.parametrize("table", [False, True], ids=["columns", "table"])
@pytest.mark.parametrize("compressed", [False, True])
def test_chunks_add_up_to_the_recording_with_one_sensor_size(tmp_path: Path, table: bool, compressed: bool) -> None:
    rows = [(i % 200, i % 7, 3 * i, i % 2 == 0) for i in range(1000)]
    events = n_imagenet(*rows)
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "parts.npz", **({"event_data": events} if table else {name: events[name] for name in "xytp"}))
    parts = list(NpzReader().chunks(tmp_path / "parts.npz", count=300))
    assert [len(part) for part in parts] == [300, 300, 300, 100]
    assert {(part.width, part.height) for part in parts} == {(640, 480) if table else (240, 180)}
    assert [row for part in parts for row in zip(part.x, part.y, part.t, part.p, strict=True)] == rows


def test_an_array_with_a_huge_stated_size_is_an_error_and_allocates_little_memory(tmp_path: Path) -> None:
    for claimed in (10**12, 10**9, 4, 2):
        with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
            for name, column in COLUMNS.items():
                header, data = io.BytesIO(), np.array(column, np.int64).tobytes()
                shape = {"descr": "<i8", "fortran_order": False, "shape": (claimed,)}
                np.lib.format.write_array_header_1_0(header, shape)
                archive.writestr(f"{name}.npy", header.getvalue() + data)
        tracemalloc.start()
        with pytest.raises(BadInput, match=rf"lie\.npz: array x: damaged: {8 * claimed} bytes"):
            anybind.read(tmp_path / "lie.npz")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**22


def test_an_archive_that_begins_with_another_array_can_be_a_recording() -> None:
    assert NpzReader().sniff(b"PK\x03\x04" + bytes(22) + b"\x05\x00\x00\x00x.npy") is True
    assert NpzReader().sniff(b"PK\x03\x04" + bytes(22) + b"\x0b\x00\x00\x00weights.npy") is None
    assert NpzReader().sniff(b"\x93NUMPY") is False
