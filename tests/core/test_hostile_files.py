"""Files that are not what their name says: each command ends in one line with exit code 2, and none waits."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import wave
from dataclasses import dataclass

import pytest

import anybind
from anybind.binding import Binding
from anybind.errors import AnybindError, BadInput, BadOption, PluginError
from anybind.reader import Reader, read_chunks
from anybind.spec import ModalitySpec, ReaderSpec
from anybind.tables import check_keys, parse_names, parse_table, read_json, read_toml
from anybind.tensors import load_torch, read_tensors


@pytest.mark.parametrize("name", ["a.raw", "a.csv", "a.wav", "a.png", "a.mp4", "a.npz", "a.txt"])
def test_a_pipe_as_recording_is_an_error_and_is_not_waited_for(cli, tmp_path, name):
    os.mkfifo(tmp_path / name)
    expected = "expected a regular file, got a pipe; write the data to a file first"
    assert cli("info", tmp_path / name).error() == f"error: {tmp_path / name}: {expected}"
    for reader in (None, "text"):
        with pytest.raises(BadInput, match=expected):
            anybind.read(tmp_path / name, reader=reader)
    assert expected in cli("embed", tmp_path / name, "-o", tmp_path / "o.safetensors").error()


def test_a_pipe_as_configuration_or_weights_is_an_error(cli, tmp_path):
    os.mkfifo(pipe := tmp_path / "pipe.toml")
    for read in (read_toml, read_json, read_tensors, load_torch, Binding.from_toml):
        with pytest.raises(BadInput, match="expected a regular file, got a pipe"):
            read(pipe)
    assert "got a pipe" in cli("embed", __file__, "-o", tmp_path / "o.safetensors", "--binding", pipe).error()


def test_a_pipe_of_names_is_an_error_but_for_those_of_the_shell(tmp_path):
    os.mkfifo(tmp_path / "names")
    for name in ("names", "names.txt", "names.json:seen"):
        pipe = tmp_path / name.partition(":")[0]
        if not pipe.exists():
            os.mkfifo(pipe)
        with pytest.raises(BadInput, match="expected a regular file, got a pipe"):
            parse_names(str(tmp_path / name))
    program = "import sys; from anybind.tables import parse_names; print(parse_names(sys.argv[1]))"
    command = f"{shlex.quote(sys.executable)} -c '{program}' <(printf 'a duck\\nkettle\\n')"
    shell = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert shell.stdout == "['a duck', 'kettle']\n"


def test_sockets_devices_and_impossible_names_are_errors(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.raw")
        with pytest.raises(BadInput, match=r"a\.raw: expected a regular file, got a socket"):
            anybind.read("a.raw")
    with pytest.raises(BadInput, match="/dev/zero: expected a regular file, got a device"):
        anybind.read("/dev/zero")
    with pytest.raises(BadInput, match="cannot read a\0b: embedded null byte"):
        anybind.read("a\0b")


TOML = {
    "decimal": ("n = " + "1" * 5000, "expected integers of 64 bits, got one of more digits"),
    "hexadecimal": ("n = 0x" + "f" * 5000, "expected integers of 64 bits, got one of more digits"),
    "nested integer": ("[a]\nb = [{c = 0x1" + "0" * 16 + "}]", "expected integers of 64 bits, got one of more digits"),
    "brackets": ("n = " + "[" * 100_000, "values that are nested too deeply"),
    "braces": ("n = " + "{a = " * 100_000, "values that are nested too deeply"),
    "dots": ("n" + ".a" * 20_000 + " = 1", "expected at most 64 nested levels, got more"),
    "table": ("[n" + ".a" * 20_000 + "]", "expected at most 64 nested levels, got more"),
    "latin": ("n = 'é'".encode("latin-1"), "expected TOML in UTF-8, got the byte 0xe9 at 5; save it as UTF-8"),
    "utf-16": ("n = 1".encode("utf-16"), "expected TOML in UTF-8, got UTF-16; save it as UTF-8"),
}


@pytest.mark.parametrize(("content", "expected"), TOML.values(), ids=TOML)
def test_toml_beyond_all_limits_is_an_error_of_one_line(cli, tmp_path, content, expected):
    path = tmp_path / "binding.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadOption) as raised:
        read_toml(path)
    assert expected in str(raised.value)
    assert str(raised.value).startswith(f"{path}: ")
    assert expected in cli("embed", __file__, "-o", tmp_path / "o.safetensors", "--binding", path).error()


@pytest.mark.parametrize("value", ["3", '"mini"', "[3]", "{}", "true", "[[]]", "1979-05-27"])
def test_adapters_of_another_type_are_an_error(cli, tmp_path, value):
    path = tmp_path / "binding.toml"
    path.write_text(f'name = "x"\nadapters = {value}\n[encoders.image]\nuse = "mini-image"\n')
    error = cli("embed", __file__, "-o", tmp_path / "o.safetensors", "--binding", path).error()
    assert "adapters" in error
    assert "expected a" in error


def test_toml_and_json_may_begin_with_a_byte_order_mark(tmp_path):
    for read, text in ((read_toml, "a = 1"), (read_json, '{"a": 1}')):
        (tmp_path / "file").write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read(tmp_path / "file") == {"a": 1}


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 100_000, '{"a":' * 100_000])
def test_json_beyond_all_limits_is_an_error(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadInput, match=r"a\.json: not valid JSON"):
        read_json(tmp_path / "a.json")


@dataclass(frozen=True)
class _Numbers:
    a: float


def test_values_in_messages_are_short():
    nested: object = 1
    for _ in range(5000):
        nested = [nested]
    for value in (nested, "a" * 100_000, 1 << 100_000, [1] * 100_000):
        with pytest.raises(BadOption) as raised:
            check_keys("file", value, ())
        assert len(str(raised.value)) < 300
    with pytest.raises(BadOption, match="a: expected a number below 1e308"):
        parse_table(_Numbers, {"a": 1 << 100_000}, "file")


@pytest.mark.parametrize("name", ["a.raw", "a.RAW", "a.dat", "a.es", "a.mp4", "a.txt"])
def test_audio_with_another_suffix_is_read_by_its_content(cli, tmp_path, name):
    with wave.open(str(tmp_path / name), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(b"\0\x40" * 800)
    sample = anybind.read(tmp_path / name)
    assert (sample.rate, sample.samples.shape) == (8000, (1, 800))
    assert float(sample.samples.max()) == 0.5
    assert cli("info", tmp_path / name).code == 0


class Failing(Reader):
    error: BaseException

    def sniff(self, head):
        return True

    def read(self, path, **options):
        raise self.error

    def chunks(self, path, *, count, **options):
        yield 1
        raise self.error


@pytest.mark.parametrize("error", [TypeError("a\nb"), RecursionError(), IndexError(3), StopIteration(), KeyError("a")])
def test_what_a_reader_did_not_expect_names_the_file_and_the_reader(registry, add_plugin, tmp_path, error):
    add_plugin(
        registry,
        ModalitySpec(name="bytes", summary="s", target="a:A"),
        ReaderSpec(name="failing", summary="s", target=f"{__name__}:Failing", modality="bytes", suffixes=(".f",)),
    )
    Failing.error = error
    (tmp_path / "a.f").write_text("a")
    for read in (anybind.read, lambda path: list(read_chunks(path))):
        with pytest.raises(PluginError, match=r"a\.f: .* reader 'failing' of test-dist") as raised:
            read(tmp_path / "a.f")
        assert "\n" not in str(raised.value)
    for failure in (BadInput("bad"), PermissionError(13, "denied"), ImportError("no"), KeyboardInterrupt()):
        Failing.error = failure
        with pytest.raises(type(failure)) as raised:
            anybind.read(tmp_path / "a.f")
        assert raised.value is failure
    Failing.error = MemoryError()
    with pytest.raises(AnybindError, match=r"a\.f: not enough memory to read it"):
        anybind.read(tmp_path / "a.f")
