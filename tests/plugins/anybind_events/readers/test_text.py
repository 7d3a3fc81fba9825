"""Text recordings: the real one, all layouts of columns, our own format, and invalid lines."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption
from anybind.reader import find_reader
from anybind_events.readers import text_lines
from anybind_events.readers.text import TextReader
from anybind_events.stream import EventStream
from helpers.streams import event_streams, list_contents, read_or_error

ROWS = [(7, 2, 10, 1), (3, 8, 20, 0), (5, 6, 30, 1)]
EXPECTED = ([7, 3, 5], [2, 8, 6], [10, 20, 30], [True, False, True], 34, 34)


def lines(rows: list = ROWS, delimiter: str = " ", order: str = "xytp", end: str = "\n") -> str:
    picked = [[row["xytp".index(letter)] for letter in order] for row in rows]
    return "".join(delimiter.join(map(str, row)) + end for row in picked)


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str, **options: object) -> EventStream:
        (tmp_path / "made.txt").write_bytes(text.encode())
        return TextReader().read(tmp_path / "made.txt", **options)

    return read


def test_the_real_recording_has_the_expected_events_and_sensor(test_data: Path) -> None:
    path = test_data / "events/slider_depth.txt"
    stream, table = anybind.read(path), np.loadtxt(path)
    assert (len(stream), stream.width, stream.height) == (50_000, 240, 180)
    np.testing.assert_array_equal(stream.t, np.rint(table[:, 0] * 1e6))
    for name, column in (("x", 1), ("y", 2), ("p", 3)):
        np.testing.assert_array_equal(getattr(stream, name), table[:, column])


def test_chunks_of_the_real_recording_add_up_to_it(test_data: Path) -> None:
    path = test_data / "events/slider_depth.txt"
    parts, whole = list(TextReader().chunks(path, count=9000)), TextReader().read(path)
    assert len(parts) == 6
    assert max(map(len, parts)) < 10_000
    for name in "xytp":
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), getattr(whole, name))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "   ", ", ", " ; "])
@pytest.mark.parametrize("order", ["xytp", "txyp", "xypt", "ptxy"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_are_split_by_every_delimiter(read, delimiter: str, order: str, end: str) -> None:
    assert list_contents(read(lines(delimiter=delimiter, order=order, end=end))) == EXPECTED


@pytest.mark.parametrize(
    "header", ["y,x,p,t", "Y, X, Polarity, Timestamp", '"ys","xs","ps","ts"', "# y x p t", "% a comment\n\n#y;x;p;t_us"]
)
def test_a_header_sets_the_column_order(read, header: str) -> None:
    assert list_contents(read(header + "\n" + lines(order="yxpt", delimiter=","))) == EXPECTED


def test_a_header_selects_among_more_columns(read) -> None:
    text = "id,x,y,name,t,p\n" + "".join(f"{i},{x},{y},n{i},{t},{p}\n" for i, (x, y, t, p) in enumerate(ROWS))
    assert list_contents(read(text)) == EXPECTED


def test_the_columns_option_can_skip_columns(read) -> None:
    text = "".join(f"{i} {y} {x} {p} {t}\n" for i, (x, y, t, p) in enumerate(ROWS))
    assert list_contents(read(text, columns="-yxpt")) == EXPECTED
    assert list_contents(read("whatever this is\n" + text, columns="-yxpt")) == EXPECTED
    with pytest.raises(BadInput, match=r"made\.txt: line 1: expected 4 columns, got 5; name them with columns="):
        read(text)
    with pytest.raises(BadInput, match=r"made\.txt: line 1: expected 4 columns, got 5"):
        read(text, columns="yxpt")
    with pytest.raises(BadOption, match="got 'yxp'"):
        read(text, columns="-yxp-")


@pytest.mark.parametrize("fall", [0, -1])
def test_off_is_0_or_minus_1(read, fall: int) -> None:
    assert read(lines([(*row[:3], row[3] or fall) for row in ROWS])).p.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("0.5 1 2 1\n0.500001 1 2 0\n", [500_000, 500_001]),
        ("1 1 2 1\n1.5 1 2 0\n", [1_000_000, 1_500_000]),
        ("5e-1 1 2 1\n.75 1 2 0\n", [500_000, 750_000]),
        ("1700000000.123456 1 2 1\n1700000000.123457 1 2 0\n", [1_700_000_000_123_456, 1_700_000_000_123_457]),
        ("5 1 2 1\n6 1 2 0\n", [5, 6]),
        ("5.0 1 2 1\n6.0 1 2 0\n", [5, 6]),
        ("1589163147368868 1 2 1\n1589163147368869 1 2 0\n", [1_589_163_147_368_868, 1_589_163_147_368_869]),
        ("1589163147368868999 1 2 1\n1589163147368869001 1 2 0\n", [1_589_163_147_368_868, 1_589_163_147_368_869]),
        ("t_ns,x,y,p\n5000,1,2,1\n6999,1,2,0\n", [5, 6]),
        ("time [ms],x,y,p\n5,1,2,1\n6.5,1,2,0\n", [5000, 6500]),
        ("t (s),x,y,p\n5,1,2,1\n6,1,2,0\n", [5_000_000, 6_000_000]),
    ],
)
def test_the_unit_of_time_follows_from_header_or_numbers(read, text: str, times: list[int]) -> None:
    assert read(text).t.tolist() == times


def test_the_unit_option_overrides_inference(read) -> None:
    assert read(lines(), time_unit="ms").t.tolist() == [10_000, 20_000, 30_000]
    assert read("t_s,x,y,p\n5,1,2,1\n", time_unit="us").t.tolist() == [5]
    with pytest.raises(BadOption, match="time_unit: expected"):
        read(lines(), time_unit="min")


def test_a_first_line_of_two_numbers_is_the_sensor(read) -> None:
    stream = read("240 180\n" + lines())
    assert list_contents(stream) == (*EXPECTED[:4], 240, 180)
    assert read("240 180\n" + lines(), size=(50, 60)).width == 50


@pytest.mark.parametrize(
    "comment", ["%geometry:1280,720", "% geometry 1280x720", "# Resolution = 1280, 720", "// x geometry: 1280 , 720 px"]
)
@pytest.mark.parametrize("before", ["", "# another comment\n"])
def test_a_comment_with_the_geometry_is_the_sensor(read, comment: str, before: str) -> None:
    stream = read(f"{before}{comment}\n" + lines())
    assert (stream.width, stream.height) == (1280, 720)
    assert len(stream) == 3
    assert (read(f"{before}% geometries 1280x720\n" + lines()).width, len(read(lines()))) == (34, 3)


def test_without_a_recorded_size_the_sensor_is_the_smallest_common_one_also_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "sensor.csv"
    path.write_text("x y t p\n" + lines([(1, 2, 1, 1), (3, 4, 2, 0), (300, 4, 3, 1)]))
    parts = list(TextReader().chunks(path, count=1))
    assert len(parts) > 1
    assert {(part.width, part.height) for part in parts} == {(304, 240)}


def test_comments_and_empty_lines_are_skipped(read) -> None:
    first, second, third = lines().splitlines()
    assert (
        list_contents(read(f"# a comment\n\n{first}\n# another\n\n{second}\n  \n// one more\n{third}\n\n\n"))
        == EXPECTED
    )


@pytest.mark.slow
@settings(deadline=None)
@given(
    stream=event_streams(st.integers(-(10**18), 10**17 - 1) | st.integers(0, 500), st.just(1280), st.just(720)),
    suffix=st.sampled_from([".csv", ".txt", ".tsv"]),
)
def test_a_written_recording_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, stream: EventStream, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"round{suffix}"
    anybind.write(stream, path)
    assert list_contents(anybind.read(path, size=(1280, 720))) == list_contents(stream)


def test_the_written_text_is_plain_csv(tmp_path: Path) -> None:
    stream = EventStream([1, 2], [3, 4], [50, 60], [1, 0], 34, 34)
    anybind.write(stream, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "x,y,t,p\n1,3,50,1\n2,4,60,0\n"
    TextReader().write_chunks([stream.head(1), stream.slice_events(1, 2)], tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text() == "x\ty\tt\tp\n1\t3\t50\t1\n2\t4\t60\t0\n"


def test_a_time_that_would_be_read_as_nanoseconds_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"late\.csv.*times below"):
        anybind.write(EventStream([1], [1], [10**17], [1], 34, 34), tmp_path / "late.csv")


@pytest.mark.slow
@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 10**7), st.sampled_from([0, 1])), min_size=1
    ),
    delimiter=st.sampled_from([",", ";", "\t", " ", "  "]),
    decimals=st.sampled_from([0, 6]),
    count=st.integers(1, 30),
)
def test_text_is_parsed_as_by_python(
    tmp_path_factory: pytest.TempPathFactory, rows: list, delimiter: str, decimals: int, count: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "python.txt"
    rows = sorted(rows, key=lambda row: row[2])
    written_rows = [(x, y, f"{t / 1e6:.6f}" if decimals else t, p) for x, y, t, p in rows]
    path.write_text("x y t p\n".replace(" ", delimiter) + lines(written_rows, delimiter))
    unit = "s" if decimals else "us"
    stream = TextReader().read(path, time_unit=unit)
    assert list(zip(stream.x, stream.y, stream.t, stream.p, strict=True)) == rows
    assert [time for part in TextReader().chunks(path, count=count, time_unit=unit) for time in part.t] == [
        r[2] for r in rows
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines() + "1 2 three 1\n" + lines(), r"line 4: expected a number, got 'three'"),
        ("x,y,t,p\n1,2,3,1\n1,2,,0\n", r"line 3: expected a number, got ''"),
        ("# a\n" + lines() + "1 2 3\n" + lines(), r"line 5: expected 4 columns, got 3"),
        (lines() + "1 2 40 0 9\n", r"line 4: expected 4 columns, got 5"),
        (lines() + "1 2 nan 0\n", r"line 4: expected a number, got 'nan'"),
        (lines() + "1 2 1_0 0\n", r"line 4: expected a number, got '1_0'"),
        ("hello world\n" + lines(), r"line 1: expected an event, or a header"),
        ("x,y,time\n1,2,3\n", r"line 1: expected an event, or a header"),
        ("x,y,t,p\n1,2,3,4,5\n", r"line 2: expected 4 columns, got 5"),
        ("x,y,t,p\n\n1,2,9,1\n1,2,8,3\n", r"polarity codes 1, 3.*event 0 is on line 3"),
        (lines([(-1, 2, 3, 1)]), r"event 0 is outside.*event 0 is on line 1"),
        ("x,y,t,p\n1.5,2,9,1\n", r"event 0: expected a whole number .*x = 1.5"),
        ("x,y,t,p\n1,2,1e30,1\n", r"event 0: expected a time, got t = 1e\+30 ns"),
        ("# only\n# comments\n", r"no events"),
        ("5 6 7 8\n4 5 6 7\n", r"no column can be time"),
        ("5 6 7 8\n4 5 8 9\n", r"no column has polarities"),
        ("\n" * 2000, r"no events"),
    ],
)
def test_an_invalid_line_is_an_error_that_names_its_number(read, text: str, message: str) -> None:
    with pytest.raises(BadInput, match=rf"made\.txt: .*{message}"):
        read(text)


def test_an_invalid_line_in_a_long_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    many = [f"{i % 300},{i % 200},{i},{i % 2}" for i in range(40_000)]
    many[31_415] = "1,2,oops,1"
    path.write_text("x,y,t,p\n" + "\n".join(many) + "\n")
    for _ in range(2):
        with pytest.raises(BadInput, match=r"long\.csv: line 31417: expected a number, got 'oops'"):
            TextReader().read(path)
        with pytest.raises(BadInput, match=r"long\.csv: line 31417: expected a number, got 'oops'"):
            list(TextReader().chunks(path, count=5000))


@pytest.mark.parametrize("delimiter", [" ", ",", ";", "\t"])
def test_a_line_of_thousands_of_fields_is_an_error_that_names_its_number(read, delimiter: str) -> None:
    wide = delimiter.join(map(str, range(5000)))
    with pytest.raises(BadInput, match=r"made\.txt: line 4: expected 4 columns, got 5000"):
        read(lines(delimiter=delimiter) + wide + "\n")
    with pytest.raises(BadInput, match=r"made\.txt: line 2: expected 4 columns, got 5000"):
        read("x y t p\n".replace(" ", delimiter) + wide + "\n" + wide + "\n")
    with pytest.raises(BadInput, match=r"made\.txt: line 4: expected a number, got '1{40}'"):
        read(lines(delimiter=delimiter) + delimiter.join(["1" * 5000 + "x", "1", "2", "1"]) + "\n")


def test_a_header_alone_is_an_empty_recording(read) -> None:
    assert len(read("x,y,t,p\n")) == 0


def test_a_file_truncated_in_a_line_gives_the_events_before(tmp_path: Path) -> None:
    path, raw = tmp_path / "cut.csv", ("x,y,t,p\n" + lines(delimiter=",")).encode()
    first = raw.index(b"\n", 8) + 1
    for length in range(first + 1, len(raw)):
        path.write_bytes(raw[:length])
        whole = raw[:length].count(b"\n") - 1
        last = raw[:length].rpartition(b"\n")[2]
        if not last or (last.count(b",") == 3 and not last.endswith(b",")):  # the truncation is not detectable
            assert len(TextReader().read(path, strict=True)) == whole + bool(last)
            continue
        with pytest.raises(BadInput, match=rf"cut\.csv: truncated.*byte {length}"):
            TextReader().read(path, strict=True)
        with pytest.warns(AnybindWarning, match=rf"cut\.csv: truncated.*byte {length}"):
            stream = TextReader().read(path)
        assert stream.t.tolist() == [10, 20, 30][:whole]
        assert stream.notes == {"truncated_bytes": len(last)}


def test_an_overlong_line_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_lines, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(text_lines, "MAX_BLOCK_BYTES", 50)
    (tmp_path / "long.txt").write_text(lines() + "1" * 500 + "\n" + lines())
    with pytest.raises(BadInput, match=r"long\.txt: line 4: longer than"):
        TextReader().read(tmp_path / "long.txt")
    (tmp_path / "long.txt").write_text(lines() + "1" * 500)
    with pytest.raises(BadInput, match=r"long\.txt: truncated"):
        TextReader().read(tmp_path / "long.txt")


@pytest.mark.parametrize(
    ("head", "verdict"),
    [
        (b"x,y,t,p\n1,2,3,1\n", True),
        (b"x,y,t,p\n", True),
        (b"240 180\n0.1 2 3 1\n", None),
        (b"0.1 2 3 1\n0.2 2 3 0\n0.3 2", None),
        (b"1;2;3;-1\n", None),
        (b"It was a dark and stormy night.\nThe rain fell 1 2 3.\n", False),
        (b"id,name\n1,2\n", False),
        (b"x,y,t,p\n1.5,2,3,77\n", False),
        (b"0.1 -2.5 3 1\n", False),
        (b"1 2\n3 4\n", False),
        (b"1,2,3\n", False),
        (b"a line that goes on " * 300, False),
        (b"\x89PNG\r\n\x1a\n\x00", False),
        (b"\x00\x01\x02", False),
        (b"", False),
    ],
)
def test_the_format_is_detected_by_its_header_and_never_in_prose(head: bytes, verdict: bool | None) -> None:
    assert TextReader().sniff(head) is verdict


def test_columns_without_a_header_are_detected_by_suffix(tmp_path: Path) -> None:
    (tmp_path / "events.txt").write_text(lines())
    assert find_reader(tmp_path / "events.txt").name == "text-events"
    (tmp_path / "notes.txt").write_text("These are notes.\n")
    with pytest.raises(BadInput, match=r"notes\.txt"):
        find_reader(tmp_path / "notes.txt")


@pytest.mark.slow
def test_a_mutated_real_recording_is_read_or_rejected(test_data: Path, tmp_path: Path) -> None:
    raw, rng = (test_data / "events/slider_depth.txt").read_bytes()[:100_000], random.Random(0)
    for _ in range(100):
        bent = bytearray(raw)
        for _ in range(rng.choice((1, 5))):
            at = rng.randrange(len(bent))
            bent[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        (tmp_path / "bent.txt").write_bytes(bent)
        got = read_or_error(TextReader().read, tmp_path / "bent.txt")
        assert isinstance(got, EventStream) or "bent.txt" in str(got)


@pytest.mark.parametrize("line", ["1e999 180", "240 1e400", "99999999 180"])
def test_an_impossible_sensor_size_in_the_first_line_is_an_error(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.txt").write_text(f"{line}\n0.1 1 2 1\n0.2 1 2 0\n")
    with pytest.raises(BadInput, match="line 1: expected width and height of a sensor"):
        anybind.read(tmp_path / "a.txt", reader="text-events")
