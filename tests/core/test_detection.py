"""Why a file cannot be read: options reach the reader, known formats and pointers are named."""

from __future__ import annotations

import gzip
import json
import sqlite3

import numpy as np
import pytest

import anybind
from anybind.detection import KNOWN_FORMATS
from anybind.errors import BadInput, BadOption
from anybind.hub import find_weights_file
from anybind.reader import find_reader
from anybind.tables import read_json, read_toml
from anybind.tensors import load_torch, read_card, read_tensors, read_weights

ROWS = [(10 * i, i % 50, i % 30, i % 2, 7 * i) for i in range(1, 60)]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 123456\n"
ANNEX = "/annex/objects/SHA256E-s123--" + "0" * 64 + ".raw\n"


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.txt", " "), ("a.tsv", "\t")])
@pytest.mark.parametrize("columns", ["txyp-", "txy-p", "-xypt", "yx-pt"])
def test_options_reach_the_reader_of_a_file_whose_content_it_did_not_recognise(cli, tmp_path, name, delimiter, columns):
    rows = [dict(zip("txypo", row, strict=True)) for row in ROWS]
    path = tmp_path / name
    lines = [delimiter.join(str(row[each if each != "-" else "o"]) for each in columns) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    assert "line 1: expected 4 columns, got 5; name them with columns=" in cli("info", path).error()
    info = json.loads(cli("info", path, "--reader-option", f"columns={columns}", "--json").out)
    assert (info["format"], info["events"]) == ("text-events", len(ROWS))
    stream = anybind.read(path, columns=columns)
    assert np.array_equal(stream.x, [row["x"] for row in rows])
    assert np.array_equal(stream.t, [row["t"] for row in rows])
    assert sum(map(len, anybind.reader.read_chunks(path, columns=columns, count=10))) == len(ROWS)
    converted = cli("convert", path, tmp_path / "a.npz", "--reader-option", f"columns={columns}")
    assert converted.code == 0, converted


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ("txyp", "line 1: expected 4 columns, got 5"),
        ("txyp--", "line 1: expected 6 columns, got 5"),
        ("txy--", "columns"),
        ("tttp-", "columns"),
    ],
)
def test_columns_that_do_not_fit_are_named(cli, tmp_path, columns, message):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in ROWS))
    error = cli("info", path, "--reader-option", f"columns={columns}").error()
    assert message in error
    assert "its beginning is not that of the format" not in error


def test_an_option_that_no_reader_of_the_suffix_takes_is_an_error(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(",".join(map(str, row)) for row in ROWS))
    with pytest.raises(BadInput, match=r"is not a valid \.csv file"):
        anybind.read(path, nothing=1)
    with pytest.raises(BadOption, match="nothing"):
        anybind.read(path, reader="text-events", nothing=1)
    with pytest.raises(BadInput, match=r"is not a valid \.csv file"):
        find_reader(path, options={})
    assert find_reader(path, options={"columns": "txyp-"}).name == "text-events"


FILES = {
    "ros1.bag": (b"#ROSBAG V2.0\nE\0\0\0", "not a complete bag"),
    "ros1.raw": (b"#ROSBAG V1.2\n", "a ROS 1 bag of another version than 2.0"),
    "ros2.mcap": (b"\x89MCAP0\r\n\x01", "not a complete bag"),
    "a.mat": (
        b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created on: ".ljust(128),
        "a MATLAB 5 file that does not begin with events",
    ),
    "a.csv": (gzip.compress(b"x,y,t,p\n1,2,3,1\n"), "a gzip file; decompress it first"),
    "a.raw.zst": (b"\x28\xb5\x2f\xfd" + bytes(20), "a zstd file"),
    "a.npz": (b"<!DOCTYPE html>\n<html>", "a web page; the download failed"),
    "a.h5": (b"<HTML><head>", "a web page"),
    "b.csv": ("x,y,t,p\n1,2,3,1\n".encode("utf-16"), "text in UTF-16; save it as UTF-8"),
    "b.tsv": ("x\ty\tt\tp\n".encode("utf-16-be"), None),
    "evt4.raw": (b"% evt 4.0\n% format EVT4;height=720;width=1280\n% end\n" + bytes(64), "got EVT4; convert it"),
    "old4.raw": (b"% evt 4.0\n% geometry 1280x720\n% end\n" + bytes(64), "got EVT4; convert it"),
    "evt5.raw": (b"% format EVT5;height=720;width=1280\n% end\n" + bytes(64), "got EVT5; convert it"),
    "one.aedat": (b"#!AER-DAT1.0\r\n# old\r\n" + bytes(64), "got AEDAT 1.0; convert it"),
    "three.aedat": (b"#!AER-DAT3.0\r\n#Format: RAW\r\n" + bytes(64), "got AEDAT 3.0; convert it"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_known_but_unsupported_format_has_one_clear_message(cli, tmp_path, name):
    content, expected = FILES[name]
    (tmp_path / name).write_bytes(content)
    error = cli("info", tmp_path / name).error()
    assert error.startswith(f"error: {tmp_path / name}")
    assert (expected or "not") in error
    embedded = cli("embed", tmp_path / name, "-o", tmp_path / "o.safetensors").error()
    assert (expected or "not") in embedded


def test_a_database_that_is_not_a_bag_is_named(cli, tmp_path):
    with sqlite3.connect(tmp_path / "ros2.db3") as database:
        database.execute("create table topics (id integer)")
    assert "an SQLite database that is not a ROS 2 bag" in cli("info", tmp_path / "ros2.db3").error()


def test_signatures_do_not_hide_a_supported_format(tmp_path):
    for sign in KNOWN_FORMATS:
        (tmp_path / "caption.txt").write_bytes(sign)
        with pytest.raises(BadInput):
            anybind.read(tmp_path / "caption.txt")
    (tmp_path / "a.jpg").write_bytes(b"x,y,t,p\n1,2,3,1\n")
    assert len(anybind.read(tmp_path / "a.jpg")) == 1


@pytest.mark.parametrize("suffix", [".raw", ".txt", ".csv", ".jpg", ".wav", ".npz", ".h5", ".mp4", ".unknown"])
def test_a_pointer_of_git_lfs_as_a_sample_says_how_to_fetch_it(cli, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text(POINTER)
    expected = f"{path}: expected the file itself, got a Git LFS pointer; fetch it: git lfs pull"
    assert cli("info", path).error() == f"error: {expected}"
    assert expected in cli("embed", path, "-o", tmp_path / "o.safetensors").error()
    path.write_text(ANNEX)
    assert "got a git-annex pointer; fetch it: git annex get" in cli("info", path).error()


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt", "model.bin", "model.toml", "model.json"])
@pytest.mark.parametrize(("content", "command"), [(POINTER, "git lfs pull"), (ANNEX, "git annex get")])
def test_a_pointer_as_weights_or_configuration_says_how_to_fetch_it(tmp_path, name, content, command):
    path = tmp_path / name
    path.write_text(content)
    for read in (read_tensors, read_card, read_weights, load_torch, read_toml, read_json):
        with pytest.raises(BadInput, match=f"{name}: expected the file itself, got a .*; fetch it: {command}"):
            read(path)
    for source in (path, tmp_path):
        with pytest.raises(BadInput, match=f"fetch it: {command}"):
            find_weights_file(source, file=name)


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.txt", " "), ("a.tsv", "\t")])
@pytest.mark.parametrize("header", [True, False])
def test_a_byte_order_mark_before_a_recording_is_skipped(tmp_path, name, delimiter, header):
    lines = [delimiter.join("txyp")] * header + [delimiter.join(map(str, row[:4])) for row in ROWS]
    (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    plain = anybind.read(tmp_path / name)
    (tmp_path / name).write_text("\r\n".join(lines) + "\r\n", encoding="utf-8-sig")
    marked = anybind.read(tmp_path / name)
    assert len(plain) == len(ROWS)
    for column in ("x", "y", "t", "p"):
        assert np.array_equal(getattr(plain, column), getattr(marked, column))
