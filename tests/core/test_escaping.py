"""Escapes of printed text: no control, escape or bidirectional character reaches the terminal."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import warnings
import wave

import pytest

from anybind.commandline import SkippedFiles, print_json, print_table, print_text
from anybind.errors import AnybindWarning, BadInput
from anybind.escaping import UNSAFE, escape_json, escape_text
from anybind.spec import CommandSpec

HOSTILE = {
    "escape": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "title": ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
    "eight-bit": ("a\x9b2J", r"a\x9b2J"),
    "line": ("a\nerror: b", r"a\nerror: b"),
    "return": ("a\rb\x08", r"a\rb\x08"),
    "bidirectional": ("a\u202egpj\u2066", r"a\u202egpj\u2066"),
    "invisible": ("a\u200b\ufeff\u2028", r"a\u200b\ufeff\u2028"),
    "tag": ("a\U000e0041", r"a\U000e0041"),
    "bytes": ("a\udcff", r"a\xff"),
}
"""Texts, and what is printed."""
HARMLESS = "é 日本 👩‍🚀 می‌خواهم [bold] {} \\ عربي"


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_unsafe_characters_become_escapes_everywhere(text, expected, capsys):
    assert escape_text(text) == expected
    print_text(text, err=True)
    assert capsys.readouterr().err == f"{expected}\n"
    print_table((text, "b"), [(text, "c")], text)
    printed = capsys.readouterr().out
    assert printed.count(expected) == 3
    assert not UNSAFE.search(printed.replace("\n", ""))
    print_json({text: [text]})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {text: [text]}
    assert not UNSAFE.search(printed.rstrip("\n"))
    skipped = SkippedFiles()
    skipped.record("1", BadInput(text))
    skipped.report()
    # Errors are one line already.
    assert capsys.readouterr().err == f"skipped 1:\n  {escape_text(' '.join(text.splitlines()))}\n"


def test_other_texts_stay_as_they_are(capsys):
    assert escape_text(HARMLESS) == escape_json(HARMLESS) == HARMLESS
    print_table(("a",), [(HARMLESS,)], "[red]title[/red]")
    assert HARMLESS in (printed := capsys.readouterr().out)
    assert "[red]title[/red]" in printed


@pytest.mark.parametrize(("text", "expected"), list(HOSTILE.values())[:6], ids=list(HOSTILE)[:6])
def test_errors_of_commands_escape_arguments(cli, text, expected):
    expected = expected.replace(r"\n", " ").replace("\\r", " ")
    assert f"cannot read {expected}.wav" in cli("info", f"{text}.wav").error()
    assert not UNSAFE.search(cli(text).error())
    assert not UNSAFE.search(cli("info", "a.wav", "--reader", text).error())
    usage = cli("info", f"--{text}")
    assert usage.code == 2
    assert not UNSAFE.search(usage.err.replace("\n", ""))
    assert not UNSAFE.search(cli("store", "clear", "--folder", "a", text).err.replace("\n", ""))


@pytest.mark.parametrize("text", [HOSTILE["escape"][0], HOSTILE["line"][0], HOSTILE["bidirectional"][0]])
def test_file_names_in_tables_and_json_are_escaped(cli, tmp_path, text):
    path = tmp_path / f"{text.replace('/', '')}.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    assert not UNSAFE.search(cli("info", path).out.replace("\n", ""))
    assert json.loads(printed := cli("info", path, "--json").out)["file"] == str(path)
    assert not UNSAFE.search(printed.rstrip("\n"))
    (tmp_path / f"empty{text}.wav").touch()
    skipped = cli("info", path, tmp_path / f"empty{text}.wav", "--skip-invalid")
    assert len(skipped.err.splitlines()) == 2
    assert not UNSAFE.search(skipped.err.replace("\n", ""))


@pytest.mark.filterwarnings("always")
def test_warnings_and_help_of_plugins_are_escaped(cli, registry, add_plugin, monkeypatch):
    def warn() -> None:
        warnings.warn("a\x1b[2J\nb", AnybindWarning, stacklevel=1)
        warnings.warn("c\x1b[2J", UserWarning, stacklevel=1)

    module = type(sys)("hostile_command")
    module.warn = warn  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "hostile_command", module)
    add_plugin(registry, CommandSpec(name="hostile", summary="Clear\x1b[2J\u202e it.", target="hostile_command:warn"))
    printed = cli("hostile").err
    assert "warning: a\\x1b[2J b\n" in printed
    assert "UserWarning: c\\x1b[2J" in printed
    printed = cli("--help").out
    assert "Clear\\x1b[2J\\u202e it." in printed
    assert "\x1b" not in printed


def test_tracebacks_are_escaped(run_anybind):
    result = run_anybind("info", "a\x1b[2J.wav", "--debug")
    assert "Traceback" in result.stderr
    assert "cannot read a\\x1b[2J.wav" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.slow
def test_descriptions_of_progress_bars_are_escaped():
    script = (
        "from anybind.plugin import loops\n"
        "with loops.progress_bar(2, 'a\\x1b[2Jb [red]c[/red]') as advance:\n"
        "    advance(1, 'note\\x1b[3J')\n"
    )
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", script], stderr=theirs, check=True, env=variables)
    os.close(theirs)
    drawn = os.read(ours, 100_000).decode()
    os.close(ours)
    assert "a\\x1b[2Jb [red]c[/red]" in drawn
    assert "note\\x1b[3J" in drawn
