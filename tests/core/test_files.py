"""Atomic writes, hashes, listings of files."""

from __future__ import annotations

import os
import stat
import subprocess

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind.files import atomic_path, check_output, list_files, open_image, portable_name
from anybind.tables import hash_settings
from anybind.tensors import write_tensors


def test_a_failed_block_leaves_the_former_file_only(tmp_path):
    path = tmp_path / "f.txt"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_block_replaces_the_file_and_keeps_the_suffix(tmp_path):
    path = tmp_path / "f.txt"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".txt"
        assert not path.exists()
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_the_file_gets_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "ordinary").touch()
    with atomic_path(tmp_path / "f") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "f").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_tensors_get_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "ordinary").touch()
    write_tensors(tmp_path / "f.safetensors", {"a": np.zeros(3, np.float32)}, {})
    assert (tmp_path / "f.safetensors").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_link_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to("target")
    with atomic_path(tmp_path / "link") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_a_folder_or_a_device_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(anybind.BadInput, match="is not a regular file"), atomic_path(path):
            pass
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_name_of_maximum_length_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".txt")
    with atomic_path(path) as temporary:
        temporary.write_text("x")
    assert path.read_text() == "x"


def test_a_path_that_is_not_unicode_can_be_printed():
    name = portable_name(b"caf\xe9.jpg".decode("utf-8", "surrogateescape"))
    assert name == "caf\\xe9.jpg"
    assert name.encode()


def test_a_missing_folder_raises_with_its_path(tmp_path):
    with (
        pytest.raises(anybind.BadInput, match=r"cannot write .*absent"),
        atomic_path(tmp_path / "absent" / "f"),
    ):
        pass


def test_the_hash_of_settings_depends_on_values_and_not_on_order():
    first = hash_settings({"a": 1, "b": [1, 2]})
    assert first == hash_settings({"b": [1, 2], "a": 1})
    assert first != hash_settings({"a": 1, "b": [2, 1]})
    assert len(first) == 12


def test_files_are_listed_by_suffix_without_hidden_ones(tmp_path):
    for name in ("b.PNG", "a.png", "deep/er/c.png", "d.txt", ".hidden/e.png", "deep/.f.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    paths = list_files(tmp_path, {".png"})
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == ["a.png", "b.PNG", "deep/er/c.png"]


def test_a_folder_without_samples_raises(tmp_path):
    with pytest.raises(anybind.BadInput, match=r"holds no samples \(files ending in \.png\)"):
        list_files(tmp_path, {".png"})
    with pytest.raises(anybind.BadInput, match="is not a folder"):
        list_files(tmp_path / "absent", {".png"})


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".gif", ".bmp", ".tiff", ".pgm"])
def test_an_image_is_opened(tmp_path, suffix):
    PIL.Image.new("L", (4, 3), 100).save(tmp_path / f"i{suffix}")
    with open_image(tmp_path / f"i{suffix}") as image:
        assert image.size == (4, 3)


@pytest.mark.parametrize("format", ["EPS", "PDF", "PCX", "TGA", "ICO", "JPEG2000", "SGI"])
def test_only_listed_image_formats_are_opened(tmp_path, format, monkeypatch):
    if format not in PIL.Image.SAVE:
        PIL.Image.init()
    PIL.Image.new("RGB", (32, 32)).save(tmp_path / "i.png", format)
    monkeypatch.setattr(subprocess, "Popen", None)  # a decoder that starts a program fails
    with pytest.raises(
        anybind.BadInput, match=r"i\.png: expected an image \(PNG, .*\), got contents that begin with b"
    ):
        open_image(tmp_path / "i.png")


@pytest.mark.parametrize(
    "head", [b"\x89PNG\r\n\x1a\n" + bytes(30), b"GIF89a\1", b"II*\0" + bytes(30), b"\xff\xd8\xff" + bytes(30)]
)
def test_image_of_damaged_header_raises(tmp_path, head):
    (tmp_path / "i.png").write_bytes(head)
    with pytest.raises(anybind.BadInput, match=r"incomplete image: damaged [A-Z]+ header; save it again"):
        open_image(tmp_path / "i.png")


def test_an_output_that_is_an_input_is_an_error(tmp_path):
    recording, link = tmp_path / "rec.npz", tmp_path / "link.npz"
    recording.touch()
    link.symlink_to(recording)
    for output in (recording, link):
        with pytest.raises(BadInput, match="it is the input"):
            check_output(output, inputs=[tmp_path / "other.npz", recording])
    assert check_output(tmp_path / "new.npz", inputs=[recording]) == tmp_path / "new.npz"


def test_an_output_of_another_suffix_is_an_error(tmp_path):
    with pytest.raises(BadOption, match=r"v\.npz: expected a name that ends in \.safetensors"):
        check_output(tmp_path / "v.npz", [".safetensors"])
    check_output(tmp_path / "V.SAFETENSORS", [".safetensors"])
