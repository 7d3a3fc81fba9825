"""Binding files."""

from __future__ import annotations

import pytest

import anybind
from anybind.binding import Binding, ConfiguredPart
from anybind.errors import BadOption, PluginError, UnknownName
from anybind.registry import find_part
from anybind.spec import BindingSpec

WHOLE = """
name = "mine"
summary = "for a test"
space = "goal"

[encoders.text]
use = "mini-text"

[encoders.event]
use = "event-encoder"
image_encoder = "@image"
options = { invert = true }

[[adapters]]
use = "turn"
source = "a"
"""


def write_binding(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_binding_file_has_encoders_options_space_and_adapters(tmp_path):
    binding = anybind.find_binding(write_binding(tmp_path, WHOLE))
    assert (binding.name, binding.summary, binding.space) == ("mine", "for a test", "goal")
    assert list(binding.encoders) == ["text", "event"]
    assert binding.encoders["event"] == ConfiguredPart(
        "event-encoder", {"image_encoder": "@image", "options": {"invert": True}}
    )
    assert binding.adapters == (ConfiguredPart("turn", {"source": "a"}),)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("space", "spase"), BadOption, "unknown key 'spase'; did you mean 'space'"),
        (('name = "mine"', ""), BadOption, "lacks the key 'name'"),
        (('use = "turn"', ""), BadOption, r"adapters\.0 lacks the key 'use'"),
        (("[encoders.text]", "[encoders.text"), BadOption, "not valid TOML.*line 6"),
    ],
)
def test_an_invalid_binding_file_raises_with_file_and_key(tmp_path, change, error, message):
    with pytest.raises(error, match=message) as caught:
        anybind.find_binding(write_binding(tmp_path, WHOLE.replace(*change)))
    assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize(
    "text", ['name = "x"\nencoders = 3', 'name = "x"\n[encoders]\ntext = 3', 'name = "x"\n[encoders]']
)
def test_encoders_must_be_tables(tmp_path, text):
    with pytest.raises(BadOption, match="table"):
        anybind.find_binding(write_binding(tmp_path, text))


def test_a_missing_binding_file_raises_with_its_path(tmp_path):
    with pytest.raises(anybind.BadInput, match=r"absent\.toml"):
        anybind.load(tmp_path / "absent.toml")


def test_an_unknown_binding_raises_with_the_nearest_name():
    with pytest.raises(UnknownName, match="no binding 'clip-vit-b32'; did you mean 'clip-vit-b-32'"):
        anybind.load("clip-vit-b32")


def test_an_argument_for_a_binding_without_one_raises():
    with pytest.raises(BadOption, match="takes no argument, got 'x'"):
        anybind.load("mini:x")


@pytest.mark.parametrize("part", anybind.list_bindings(), ids=lambda part: part.name)
def test_every_installed_binding_uses_encoders_and_adapters_that_exist(part, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if part.name == "clip-vit-l-14+imagebind":  # has a file of the user's own, which its own tests make
        with pytest.raises(anybind.BadInput, match="fit-adapter"):
            anybind.find_binding(part.name)
        return
    if part.name in ("onnx", "openvino", "pack", "hf"):  # names a folder or a repository, which its own tests make
        with pytest.raises(BadOption, match=r"expected (a folder of|hf:ORG)"):
            anybind.find_binding(part.name)
        return
    if part.name == "sentence-transformers":  # has a model of the user's own, which its own tests make
        with pytest.raises(BadOption, match="expected a model after sentence-transformers:"):
            anybind.find_binding(part.name)
        return
    if part.name == "mteb":  # lists the modalities of a model of its registry
        pytest.importorskip("mteb", reason="MTEB is not installed: pip install 'anybind[mteb]'")
    argument = {"open_clip": "any", "mteb": "mteb/baseline-random-encoder"}.get(part.name, "")
    binding = anybind.find_binding(f"{part.name}:{argument}" if argument else part.name)
    assert tuple(binding.encoders) == part.spec.modalities
    for use in binding.encoders.values():
        assert find_part("encoder", use.name)
    for use in binding.adapters:
        assert find_part("adapter", use.name)


def test_paths_are_relative_to_the_binding_files_folder(tmp_path):
    text = 'name = "x"\n[encoders.image]\nuse = "i"\nweights = "./w/a.safetensors"\nmodel = "local-dir:../m"\nother = "w/b"\n'
    (tmp_path / "deep").mkdir()
    options = anybind.find_binding(write_binding(tmp_path / "deep", text)).encoders["image"].options
    assert options["weights"] == str(tmp_path / "deep" / "w" / "a.safetensors")
    assert options["model"] == f"local-dir:{tmp_path / 'deep' / '..' / 'm'}"
    assert options["other"] == "w/b"


@pytest.mark.parametrize("text", ['name = 5\n[encoders.a]\nuse = "x"', 'name = "x"\n[encoders.a]\nuse = 5'])
def test_names_must_be_strings(tmp_path, text):
    with pytest.raises(BadOption, match="got 5"):
        anybind.find_binding(write_binding(tmp_path, text))


def make_binding(**options):
    return Binding(
        "own",
        {
            "image": ConfiguredPart("mini-image"),
            "event": ConfiguredPart("event-encoder", {"image_encoder": "@image", **options}),
        },
    )


@pytest.mark.torch
def test_a_clamp_changes_only_the_representation():
    before = make_binding(options={"invert": True, "clamp_percentile": 90}, size=64)
    after = before.with_clamp("event", 10)
    assert after.encoders["event"].options == {
        "image_encoder": "@image",
        "options": {"invert": True, "clamp": 10},
        "size": 64,
    }
    assert after.encoders["image"] is before.encoders["image"]
    assert before.encoders["event"].options["options"] == {"invert": True, "clamp_percentile": 90}
    assert make_binding().with_clamp("event", 16).encoders["event"].options["options"] == {"clamp": 16}


@pytest.mark.torch
def test_a_representation_or_an_encoder_without_a_clamp_and_a_missing_encoder_are_an_error():
    with pytest.raises(BadOption, match=r"the binding 'mini': the representation .* takes no clamp"):
        anybind.find_binding("mini").with_clamp("event", 10)
    with pytest.raises(BadOption, match="'own' has no depth encoder"):
        make_binding().with_clamp("depth", 10)
    with pytest.raises(BadOption, match="has no clamp of event counts"):
        make_binding().with_clamp("image", 10)


def test_a_binding_whose_function_or_resource_fails_is_an_error_with_its_name(registry, add_plugin):
    for name, target in (("crash", f"{__name__}:crash"), ("absent", "math:absent.toml")):
        add_plugin(registry, BindingSpec(name=name, summary="s", target=target), name=name)
        with pytest.raises(PluginError, match=f"binding '{name}' of test-dist: "):
            anybind.load(f"{name}:x" if name == "crash" else name)


def crash(argument):
    raise KeyError(argument)
