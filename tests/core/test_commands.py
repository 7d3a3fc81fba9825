"""Commands of core: tables that fit the terminal, filters, and missing inputs."""

from __future__ import annotations

import json

import PIL.Image
import pytest

from anybind import cli as anybind_cli
from anybind.commandline import _fit_widths, print_table, split_common_folder
from anybind.errors import BadInput, PluginError
from anybind.registry import list_parts
from anybind.spec import BindingSpec


@pytest.mark.parametrize(
    ("columns", "available", "widths"),
    [
        ([["name", "a-long-name"], ["summary", "two words"]], 40, [11, 9]),
        ([["name", "a-long-name"], ["summary", "many words in one line"]], 20, [11, 9]),
        ([["a", "x " * 20], ["b", "y " * 10]], 32, [12, 20]),
        ([["name", "a" * 30], ["b"]], 11, [10, 1]),
        ([["path", "a" * 30], ["value", "7 pixels"], ["unit"]], 20, [8, 8, 4]),
        ([["", ""], ["b"]], 10, [0, 1]),
    ],
)
def test_table_columns_hold_whole_words_where_the_terminal_is_wide_enough(columns, available, widths):
    assert _fit_widths(columns, available) == widths


def test_a_table_has_lines_of_the_terminals_width_and_splits_no_name(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    print_table(("name", "summary"), [("a-name-of-thirty-characters---", "what it is " * 9), ("b", "[bold]")], "title")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) == 60
    assert any(line.startswith("│ a-name-of-thirty-characters--- │ what it") for line in lines)
    assert "[bold]" in lines[-2]


def test_a_row_is_one_line_in_a_pipe(monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    print_table(("name", "summary"), [("a", "a long summary " * 30)])
    assert any("a long summary " * 30 in line for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(("command", "kinds"), [("bindings", ["binding"]), ("datasets", ["dataset"]), ("plugins", [])])
def test_lists_fit_80_columns_without_splitting_names(cli, monkeypatch, command, kinds):
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli(command).out.splitlines()
    assert max(len(line) for line in lines if line[:1] in "│┏") <= 80
    words = {word for line in lines for word in line.split()}
    kinds = kinds or ["encoder", "reader", "command"]
    assert {part.name for kind in kinds for part in list_parts(kind)} - words <= {
        "hf",
        "mteb",
        "onnx",
        "open_clip",
        "openvino",
        "pack",
    }


def test_bindings_lists_every_accepted_name_and_takes_a_pattern_and_a_modality(cli):
    assert "open_clip:local-dir:DIR" in cli("bindings", "open*").out
    (row,) = json.loads(cli("bindings", "--modality", "thermal", "--json").out)["bindings"]
    assert (row["name"], row["forms"]) == ("languagebind", ["languagebind", "languagebind:local-dir:DIR"])
    assert "no binding matches 'imagbind'; did you mean 'imagebind'" in cli("bindings", "imagbind").error()
    assert "no modality 'thermic'" in cli("bindings", "--modality", "thermic").error()
    for part in list_parts(BindingSpec):
        assert all(form.partition(":")[0] == part.name for form in part.spec.forms)


def test_plugins_and_datasets_take_a_pattern(cli):
    listing = json.loads(cli("plugins", "openclip", "--json").out)
    assert (
        {plugin["name"] for plugin in listing["plugins"]}
        == {part["plugin"] for part in listing["parts"]}
        == {"openclip"}
    )
    assert {part["kind"] for part in json.loads(cli("plugins", "reader", "--json").out)["parts"]} == {"reader"}
    assert [row["name"] for row in json.loads(cli("datasets", "n-im*", "--json").out)["datasets"]] == [
        "n-imagenet",
        "n-imagenet-mini",
    ]
    assert "no dataset matches 'foldr'; did you mean 'folder'" in cli("datasets", "foldr").error()


@pytest.mark.parametrize("arguments", [["classify", "no.raw", "--labels", "a,b"], ["embed", "no.png", "-o", "a.st"]])
def test_a_missing_input_is_reported_before_a_heavy_import(run_anybind, arguments, tmp_path):
    # With torch hidden, whatever imports it would fail otherwise.
    (tmp_path / "torch.py").write_text("raise RuntimeError('torch is imported')")
    result = run_anybind(*arguments, path=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"error: cannot read {arguments[1]}: No such file or directory; check the path\n"


@pytest.mark.torch
def test_a_missing_input_is_skipped_and_listed_where_invalid_ones_are(cli, tmp_path):
    PIL.Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    ended = cli("embed", tmp_path / "a.png", tmp_path / "b.png", "--skip-invalid", "-o", tmp_path / "a.safetensors")
    assert ended.code == 0, ended.err
    assert "skipped 1:" in ended.err


@pytest.mark.parametrize(
    ("paths", "folder", "names"),
    [
        (["/a/b/c.npz", "/a/d.npz"], "/a", ["b/c.npz", "d.npz"]),
        (["/a/c.npz"], "/a", ["c.npz"]),
        (["c.npz", "d.npz"], "", ["c.npz", "d.npz"]),
        (["a/c.npz", "/a/d.npz"], "", ["a/c.npz", "/a/d.npz"]),
        (["a/c.npz", "b/d.npz"], "", ["a/c.npz", "b/d.npz"]),
        ([], "", []),
    ],
)
def test_a_common_folder_is_split_from_paths(paths, folder, names):
    assert split_common_folder(paths) == (folder, names)


def test_an_error_whose_causes_form_a_circle_is_reported(monkeypatch, capsys):
    def fail(*args, **options):
        one, other = BadInput("bad"), ValueError()
        one.__cause__, other.__context__ = other, one
        raise one

    monkeypatch.setattr(anybind_cli, "app", fail)
    with pytest.raises(SystemExit, match="2"):
        anybind_cli.main()
    assert capsys.readouterr().err == "error: bad\n"


@pytest.mark.parametrize("wrap", [SystemError, PluginError])
def test_ctrl_c_in_compiled_code_ends_as_elsewhere(monkeypatch, capsys, wrap):
    def interrupt(*args, **options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise wrap("a kernel returned a result with an exception set") from error

    monkeypatch.setattr(anybind_cli, "app", interrupt)
    with pytest.raises(SystemExit, match="130"):
        anybind_cli.main()
    assert capsys.readouterr().err == ""
