"""The commands `classify`, `demo`, `embed` and `evaluate` on the binding `mini`: output, and one-line errors."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

import anybind
from anybind.torch_encoder import TorchEncoder
from anybind_classification import classify

pytestmark = pytest.mark.torch


@pytest.mark.slow
def test_classify_predicts_the_label_of_an_image_and_its_recording(cli, demo_folder, demo_images):
    recording = demo_folder / "recordings" / "03-chelsea.npz"
    ended = cli("classify", demo_images["chelsea.jpg"], recording, "--labels", "a cat,a rocket,a motorcycle", "--json")
    assert ended.code == 0
    output = json.loads(ended.out)
    assert [row["modality"] for row in output["files"]] == ["image", "event"]
    assert [row["label"] for row in output["files"]] == ["a cat", "a cat"]
    for row in output["files"]:
        assert sum(score["probability"] for score in row["scores"]) == pytest.approx(1)
        cosines = [score["cosine"] for score in row["scores"]]
        assert cosines == sorted(cosines, reverse=True)


def test_classify_prints_a_table(cli, demo_images):
    ended = cli("classify", demo_images["rocket.jpg"], "--labels", "a cat,a rocket", "--top-k", "1")
    assert ended.code == 0
    assert "a rocket" in ended.out
    assert "a cat" not in ended.out


def test_classify_simulates_recordings_of_images_on_request(cli, demo_images):
    ended = cli("classify", demo_images["chelsea.jpg"], "--labels", "a,b", "--modality", "event", "--json")
    assert json.loads(ended.out)["files"][0]["modality"] == "event"


def test_classify_passes_options_to_the_readers_that_take_them(cli, demo_images, tmp_path):
    rows = [f"{number / 1000} {number % 60} {number % 40} 1" for number in range(600)]
    (tmp_path / "events.txt").write_text("\n".join(rows))
    command = ("classify", tmp_path / "events.txt", demo_images["rocket.jpg"], "--labels", "a,b", "--json")
    error = cli(*command, "--reader-option", "sizes=64x48").err
    assert error.startswith("error: no reader of these files (")
    assert error.endswith("has an option 'sizes'\n")
    assert "is outside the sensor" in cli(*command, "--reader-option", "size=20x20").err
    ended = cli(*command, "--reader-option", "size=64x48")
    assert [file["modality"] for file in json.loads(ended.out)["files"]] == ["event", "image"]


def test_the_function_returns_what_the_command_prints(cli, image_folder):
    paths, labels = sorted(image_folder.rglob("*.png")), ["a cat", "a rocket"]
    classifications = classify(paths, labels, templates=["{}", "a photo of {}"])
    command = ("classify", *paths, "--labels", ",".join(labels), "--prompt", "{}", "--prompt", "a photo of {}")
    printed = json.loads(cli(*command, "--json").out)["files"]
    assert [(each.id, each.modality, each.label) for each in classifications] == [
        (row["file"], row["modality"], row["label"]) for row in printed
    ]
    for each, row in zip(classifications, printed, strict=True):
        assert [vars(score) for score in each.scores] == [
            {"label": score["label"], "score": score["cosine"], "probability": score["probability"]}
            for score in row["scores"]
        ]


def test_files_are_classified_in_input_order_and_invalid_ones_are_reported(image_folder, invalid_files):
    errors = {}
    paths = [
        image_folder / "rocket" / "a.png",
        invalid_files["zero.png"],
        image_folder / "001 - Cup_of Coffee" / "a.png",
    ]
    classifications = classify(paths, ["a", "b"], on_bad=lambda id, error: errors.update({id: error}))
    assert [each.id for each in classifications] == [str(paths[0]), str(paths[2])]
    assert list(errors) == [str(paths[1])]


@pytest.mark.parametrize("options", [{}, {"labels": ["a", "b"], "head": "x.safetensors"}])
def test_classify_expects_either_labels_or_a_head(image_folder, options):
    with pytest.raises(anybind.plugin.BadOption, match="either labels or a head"):
        classify(image_folder, **options)


def test_importing_the_plugin_imports_no_command_line():
    code = (
        "import sys, anybind_classification; assert not {'typer', 'torch', 'numba'} & sys.modules.keys(), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_evaluate_prints_one_json_object_with_settings_and_metrics(cli, image_folder):
    ended = cli("evaluate", "zero-shot", "--modality", "image", "--data", image_folder, "--json")
    result = json.loads(ended.out)
    assert {"top1", "top5", "n", "classes", "binding", "modality", "seed", "encoders"} <= result.keys()
    assert result["classes"] == ["cup of coffee", "rocket"]
    assert (result["n"], result["binding"], result["seed"]) == (4, "mini", 0)
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{12}\+[0-9a-f]{12}", result["encoders"]["image"])


@pytest.mark.slow
def test_evaluation_on_simulated_events_is_deterministic_for_a_seed(cli, image_folder):
    def run(seed):
        command = ("evaluate", "zero-shot", "--modality", "event", "--data", image_folder, "--seed", seed, "--json")
        return json.loads(cli(*command).out)

    assert run(3) == run(3)
    assert run(3)["seed"] == 3


@pytest.mark.slow
def test_evaluate_accepts_more_candidate_labels_than_the_class_subset(cli, image_folder):
    command = ("evaluate", "zero-shot", "--modality", "image", "--data", image_folder, "--classes", "rocket", "--json")
    everything = json.loads(cli(*command, "--candidate-labels", "all").out)
    assert (everything["classes"], everything["n"]) == (["cup of coffee", "rocket"], 2)
    listed = json.loads(cli(*command, "--candidate-labels", "rocket,001 - Cup_of Coffee,a_duck").out)
    assert listed["classes"] == ["rocket", "cup of coffee", "a duck"]


def test_embed_writes_embeddings_of_every_modality_in_a_folder(cli, demo_folder, tmp_path, demo_images):
    mixed = tmp_path / "mixed"
    shutil.copytree(demo_folder / "recordings", mixed / "events")
    shutil.copy(demo_images["rocket.jpg"], mixed)
    ended = cli("embed", mixed, "-o", tmp_path / "v.safetensors", "--json")
    assert ended.code == 0
    groups = anybind.load_embeddings(tmp_path / "v.safetensors")
    assert {name: len(group) for name, group in groups.items()} == {"event": 10, "image": 1}
    assert groups["event"].space == groups["image"].space
    expected = anybind.load("mini").embed("image", [mixed / "rocket.jpg"])
    np.testing.assert_allclose(groups["image"].vectors, expected.vectors, atol=1e-6)


ERRORS = {
    "truncated.jpg": ": incomplete image",
    "text.png": "is not a valid .png file",
    "zero.png": "is empty (0 bytes)",
    "truncated.npz": "not a complete .npz recording",
    "empty.npz": "has no events",
    "missing.png": "No such file",
    "unknown.xyz": "unsupported format",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["classify", "embed", "demo"])
@pytest.mark.parametrize("name", ERRORS)
def test_an_invalid_file_is_a_one_line_error_without_output(cli, invalid_files, tmp_path, command, name):
    output = tmp_path / "out.safetensors"
    options = {
        "classify": ["--labels", "a,b"],
        "embed": ["-o", output],
        "demo": ["-o", tmp_path / "demo", "--labels", "a,b"],
    }
    error = cli(command, invalid_files[name], *options[command]).error()
    assert str(invalid_files[name]) in error
    assert ERRORS[name] in error
    assert not output.exists()
    assert not list(tmp_path.glob("demo/*.html"))


def test_invalid_files_are_skipped_and_listed_on_request(cli, invalid_files, tmp_path, demo_images):
    good = demo_images["rocket.jpg"]
    output = tmp_path / "v.safetensors"
    ended = cli("embed", *invalid_files.values(), good, "-o", output, "--skip-invalid", "--json")
    assert ended.code == 0
    assert anybind.load_embeddings(output)["image"].ids == (str(good),)
    assert sorted(json.loads(ended.out)["skipped"]) == sorted(map(str, invalid_files.values()))
    assert ended.err.startswith(f"skipped {len(invalid_files)}:")


def test_skipping_every_file_is_an_error(cli, invalid_files, tmp_path):
    ended = cli("embed", invalid_files["text.png"], "-o", tmp_path / "v.safetensors", "--skip-invalid")
    assert ended.code == 2
    assert "no file could be embedded" in ended.err
    assert not (tmp_path / "v.safetensors").exists()


@pytest.mark.slow
def test_evaluate_skips_invalid_samples_on_request(cli, image_folder, invalid_files):
    shutil.copy(invalid_files["truncated.jpg"], image_folder / "rocket")
    command = ("evaluate", "zero-shot", "--modality", "image", "--data", image_folder)
    assert "truncated.jpg" in cli(*command).error()
    ended = cli(*command, "--skip-invalid", "--json")
    assert json.loads(ended.out)["n"] == 4
    assert list(json.loads(ended.out)["skipped"]) == ["rocket/truncated.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "{p}", "--labels", "a,b,A"], "given twice: a"),
        (["classify", "{p}", "--labels", "a"], "at least two labels"),
        (["classify", "{p}", "--labels", "a,b", "--binding", "minni"], "no binding 'minni'; did you mean 'mini'"),
        (["classify", "{p}", "--labels", "a,b", "--prompt", "a photo"], "needs {} where"),
        (
            ["classify", "{p}", "--labels", "a,b", "--modality", "smell"],
            "there is no modality 'smell'; there are: depth, event, image, sound, speech, text",
        ),
        (["classify", "{d}", "--labels", "a,b"], "holds no samples"),
        (["embed", "{d}", "-o", "x.safetensors"], "holds no samples"),
        (["embed", "{p}", "-o", "{d}/absent/x.safetensors"], "cannot write"),
        (["demo", "{p}"], "name labels with --labels"),
        (["demo", "-o", "{p}/x"], "cannot create the folder"),
        (["evaluate", "zero-shot", "--modality", "image", "--data", "{d}"], "one folder per class"),
        (["evaluate", "zero-shot", "--modality", "image", "--data", "{d}/absent"], "is not a folder"),
        (
            ["evaluate", "zeroshot", "--modality", "image", "--data", "{d}"],
            "no task 'zeroshot'; did you mean 'zero-shot'",
        ),
        (["evaluate", "zero-shot", "--modality", "evnt", "--data", "{d}"], "no modality 'evnt'; did you mean 'event'"),
        (["clasify", "{p}"], "no command 'clasify'; did you mean 'classify'"),
        (["embd", "{p}"], "no command 'embd'; did you mean 'embed'"),
    ],
)
def test_an_invalid_argument_is_a_one_line_error(cli, tmp_path, arguments, message, demo_images):
    empty = tmp_path / "empty"
    empty.mkdir()
    image = demo_images["rocket.jpg"]
    error = cli(*(argument.format(p=image, d=empty) for argument in arguments)).error()
    assert message in error


@pytest.mark.slow
def test_debug_prints_the_traceback_before_or_after_the_command(run_anybind):
    for arguments in (["--debug", "classify", "absent.png"], ["classify", "absent.png", "--debug"]):
        result = run_anybind(*arguments, "--labels", "a,b")
        assert result.returncode != 0
        assert "Traceback" in result.stderr
        assert "absent.png" in result.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_an_error_exits_with_status_2_and_one_line(run_anybind):
    result = run_anybind("classify", "absent.png", "--labels", "a,b")
    assert result.returncode == 2
    assert result.stderr == "error: cannot read absent.png: No such file or directory; check the path\n"


@pytest.mark.slow
def test_a_long_text_is_truncated_with_a_warning_that_shows_where(run_anybind, demo_images):
    words = " ".join(f"word{i}" for i in range(300))
    result = run_anybind("classify", demo_images["rocket.jpg"], "--labels", f"a rocket,{words}", "--json")
    assert result.returncode == 0, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("warning: text truncated to 256 tokens: kept up to '")
    assert "dropped '" in line


def test_weights_of_another_model_are_an_error(cli, tmp_path, demo_images):
    import torch

    class Other(TorchEncoder):
        def preprocess(self, sample): ...

    other = Other(torch.nn.Linear(2, 2), modality="event", space=anybind.Space("o", 2), preprocessing={})
    other.save_weights(tmp_path / "w.safetensors")
    (tmp_path / "b.toml").write_text(
        f'name = "b"\nspace = "efficientnet-lite0"\n[encoders.image]\nuse = "mini-image"\n[encoders.event]\n'
        f'use = "event-encoder"\nimage_encoder = "@image"\nweights = "{tmp_path}/w.safetensors"\n'
    )
    image = demo_images["rocket.jpg"]
    command = ("embed", image, "-o", tmp_path / "v.safetensors", "--binding", tmp_path / "b.toml")
    assert cli(*command).code == 0  # its image encoder is valid
    recording = tmp_path / "r.npz"
    anybind.write(anybind.derive("event", anybind.read(image)), recording)
    error = cli("embed", recording, *command[2:]).error()
    assert f"{tmp_path}/w.safetensors holds weights for o (2-d), not for efficientnet-lite0" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "{p}", "--labels", "a,b", "--device", "nonsense"], "cannot use the device 'nonsense'"),
        (["embed", "{p}", "-o", "{d}"], "not a regular file"),
        (["classify", "{p}", "--labels", "absent.csv"], "absent.csv: No such file"),
        (
            ["evaluate", "zero-shot", "--modality", "image", "--data", "{d}", "--task-option", "x"],
            "given as NAME=VALUE",
        ),
    ],
)
def test_an_invalid_argument_with_a_folder_is_a_one_line_error(cli, image_folder, arguments, message, demo_images):
    image = demo_images["rocket.jpg"]
    assert message in cli(*(argument.format(p=image, d=image_folder) for argument in arguments)).error()


def test_an_internal_error_is_one_line_and_exits_with_status_1(cli, image_folder, monkeypatch):
    from anybind.plugin import tables

    monkeypatch.setattr(tables, "parse_names", lambda text: 1 / 0)
    ended = cli("classify", image_folder, "--labels", "a,b")
    assert ended.code == 1
    assert ended.err == "error: internal: ZeroDivisionError: division by zero; --debug shows where\n"


def test_the_version_is_printed(cli):
    assert cli("--version").out.startswith("anybind ")


@pytest.mark.slow
def test_a_file_name_that_is_not_unicode_is_embedded(run_anybind, tmp_path, demo_images):
    import os

    strange = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    shutil.copy(demo_images["rocket.jpg"], strange)
    result = run_anybind("embed", tmp_path, "-o", tmp_path / "v.safetensors")
    assert result.returncode == 0, result.stderr
    (id,) = anybind.load_embeddings(tmp_path / "v.safetensors")["image"].ids
    assert id.endswith("caf\\xe9.jpg")


@pytest.mark.slow
def test_the_seed_of_simulated_recordings_is_part_of_the_encoder_identity(cli, image_folder):
    def encoders(modality, seed):
        command = ("evaluate", "zero-shot", "--modality", modality, "--data", image_folder, "--seed", seed, "--json")
        return json.loads(cli(*command).out)["encoders"]

    assert encoders("event", 1)["event"] != encoders("event", 2)["event"]
    assert encoders("event", 1)["text"] == encoders("event", 2)["text"]
    assert encoders("image", 1) == encoders("image", 2)


def test_evaluate_takes_options_of_inference(cli, image_folder):
    command = ("evaluate", "zero-shot", "--modality", "image", "--data", image_folder, "--json")
    results = [
        cli(*command, *options) for options in ((), ("--batch-size", "1", "--workers", "1", "--device", "cpu,cpu"))
    ]
    plain, others = (json.loads(ended.out) for ended in results)
    assert plain["top1"] == others["top1"]
    refused = cli(*command, "--precision", "int4")
    assert (refused.code, refused.err) == (2, "error: expected a precision of fp32, bf16, fp16, got 'int4'\n")


@pytest.mark.parametrize(
    "labels", [np.array(["a cat", "a rocket"]), iter(["a cat", "a rocket"]), {"a cat", "a rocket"}]
)
def test_labels_may_be_any_series_of_texts(image_folder, labels):
    (answer,) = classify(image_folder / "rocket" / "a.png", labels)
    assert {(type(each.label), each.label) for each in answer.scores} == {(str, "a cat"), (str, "a rocket")}


@pytest.mark.parametrize(
    ("labels", "message"),
    [("cat", "at least two labels to choose from, got cat"), ([1, 2], "expected texts, got 1"), ({"a": "b"}, "texts")],
)
def test_labels_that_are_no_texts_are_an_error(image_folder, labels, message):
    with pytest.raises(anybind.plugin.BadOption, match=message):
        classify(image_folder, labels)


@pytest.mark.parametrize("sample", [np.zeros((9, 9, 3), np.uint8), [np.zeros((9, 9, 3), np.uint8)], None, {"a.png": 1}])
def test_samples_in_memory_are_an_error_that_names_what_takes_them(sample):
    for function in (lambda: classify(sample, ["a", "b"]), lambda: anybind.embed(sample)):
        with pytest.raises(anybind.BadInput, match=r"expected paths of files, got \w+; Binder.embed"):
            function()


@pytest.mark.parametrize("function", [anybind.load, lambda name: classify("a.png", ["a", "b"], binding=name)])
def test_another_object_than_a_binding_is_an_error(function):
    with pytest.raises(anybind.plugin.BadOption, match="expected a binding"):
        function(None)


def test_deriving_from_the_path_of_a_file_is_an_error(image_folder):
    path = image_folder / "rocket" / "a.png"
    for source in (path, str(path)):
        with pytest.raises(anybind.BadInput, match=r"path of a file: give anybind.read\("):
            anybind.derive("event", source)
