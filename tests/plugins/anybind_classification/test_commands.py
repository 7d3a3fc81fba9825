"""The commands as a user meets them, on the binding `mini`: answers, and one line for every bad input."""

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


@pytest.mark.slow
def test_classify_names_the_label_that_fits_each_file(cli, demo_folder):
    recording = demo_folder / "recordings" / "03-chelsea.npz"
    ended = cli(
        "classify", demo_pictures()["chelsea.png"], recording, "--labels", "a cat,a rocket,a motorcycle", "--json"
    )
    assert ended.code == 0
    answer = json.loads(ended.out)
    assert [row["modality"] for row in answer["files"]] == ["image", "event"]
    assert [row["best"] for row in answer["files"]] == ["a cat", "a cat"]
    for row in answer["files"]:
        assert sum(score["share"] for score in row["scores"]) == pytest.approx(1)
        cosines = [score["cosine"] for score in row["scores"]]
        assert cosines == sorted(cosines, reverse=True)


def demo_pictures():
    from anybind_classification.demo_pictures import demo_pictures

    return {path.name: path for path in demo_pictures()}


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory):
    """The demo, run once for all tests that look at it."""
    from anybind_classification.demo_command import demo

    folder = tmp_path_factory.mktemp("demo") / "deep" / "er"
    demo(output=folder)
    return folder


def test_classify_prints_a_table(cli):
    ended = cli("classify", demo_pictures()["rocket.jpg"], "--labels", "a cat,a rocket", "--top", "1")
    assert ended.code == 0
    assert "a rocket" in ended.out
    assert "a cat" not in ended.out


def test_classify_turns_pictures_into_recordings_on_request(cli):
    ended = cli("classify", demo_pictures()["chelsea.png"], "--labels", "a,b", "--modality", "event", "--json")
    assert json.loads(ended.out)["files"][0]["modality"] == "event"


def test_the_function_gives_what_the_command_prints(cli, pictures):
    paths, labels = sorted(pictures.rglob("*.png")), ["a cat", "a rocket"]
    found = classify(paths, labels, prompts=["{}", "a photo of {}"])
    command = ("classify", *paths, "--labels", ",".join(labels), "--template", "{}", "--template", "a photo of {}")
    printed = json.loads(cli(*command, "--json").out)["files"]
    assert [(each.id, each.modality, each.label) for each in found] == [
        (row["file"], row["modality"], row["best"]) for row in printed
    ]
    for each, row in zip(found, printed, strict=True):
        assert [vars(score) for score in each.scores] == [
            {"label": score["label"], "score": score["cosine"], "share": score["share"]} for score in row["scores"]
        ]


def test_files_are_classified_in_the_order_given_and_bad_ones_are_reported(pictures, bad_files):
    told = {}
    given = [pictures / "rocket" / "a.png", bad_files["zero.png"], pictures / "001 - Cup_of Coffee" / "a.png"]
    found = classify(given, ["a", "b"], on_bad=lambda id, error: told.update({id: error}))
    assert [each.id for each in found] == [str(given[0]), str(given[2])]
    assert list(told) == [str(given[1])]


@pytest.mark.parametrize("options", [{}, {"labels": ["a", "b"], "head": "x.safetensors"}])
def test_either_labels_or_a_head_classify(pictures, options):
    with pytest.raises(anybind.plugin.BadOption, match="either labels or a head"):
        classify(pictures, **options)


def test_listing_the_plugin_imports_no_command_line():
    code = (
        "import sys, anybind_classification; assert not {'typer', 'torch', 'numba'} & sys.modules.keys(), sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_evaluate_prints_one_json_object_with_question_and_answer(cli, pictures):
    ended = cli("evaluate", "zero-shot", "--modality", "image", "--data", pictures, "--json")
    result = json.loads(ended.out)
    assert {"top1", "top5", "n", "classes", "binding", "modality", "seed", "encoders"} <= result.keys()
    assert result["classes"] == ["cup of coffee", "rocket"]
    assert (result["n"], result["binding"], result["seed"]) == (4, "mini", 0)
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{12}\+[0-9a-f]{12}", result["encoders"]["image"])


@pytest.mark.slow
def test_evaluate_as_events_depends_on_the_seed_alone(cli, pictures):
    def run(seed):
        command = ("evaluate", "zero-shot", "--modality", "event", "--data", pictures, "--seed", seed, "--json")
        return json.loads(cli(*command).out)

    assert run(3) == run(3)
    assert run(3)["seed"] == 3


@pytest.mark.slow
def test_evaluate_asks_among_more_classes_than_it_keeps(cli, pictures):
    command = ("evaluate", "zero-shot", "--modality", "image", "--data", pictures, "--classes", "rocket", "--json")
    everything = json.loads(cli(*command, "--among", "all").out)
    assert (everything["classes"], everything["n"]) == (["cup of coffee", "rocket"], 2)
    listed = json.loads(cli(*command, "--among", "rocket,001 - Cup_of Coffee,a_duck").out)
    assert listed["classes"] == ["rocket", "cup of coffee", "a duck"]


def test_embed_writes_vectors_of_every_modality_it_finds(cli, demo_folder, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(demo_folder / "recordings", mixed / "events")
    shutil.copy(demo_pictures()["rocket.jpg"], mixed)
    ended = cli("embed", mixed, "-o", tmp_path / "v.safetensors", "--json")
    assert ended.code == 0
    groups = anybind.load_embeddings(tmp_path / "v.safetensors")
    assert {name: len(group) for name, group in groups.items()} == {"event": 10, "image": 1}
    assert groups["event"].space == groups["image"].space
    expected = anybind.load("mini").embed("image", [mixed / "rocket.jpg"])
    np.testing.assert_allclose(groups["image"].vectors, expected.vectors, atol=1e-6)


def test_the_demo_writes_recordings_and_one_page_that_needs_nothing_else(demo_folder):
    assert len(list((demo_folder / "recordings").glob("*.npz"))) == 10
    page = (demo_folder / "index.html").read_text()
    assert page.count("<article") == 10
    assert page.count('src="data:image/webp;base64,') == 20
    assert not re.search(r'(src|href)="(?!data:)', page)
    stream = anybind.read(demo_folder / "recordings" / "03-chelsea.npz")
    assert f"{len(stream):,} events" in page


def test_the_demo_takes_ones_own_pictures_and_recordings(cli, demo_folder, tmp_path):
    recording = demo_folder / "recordings" / "09-rocket.npz"
    out = tmp_path / "out"
    ended = cli("demo", demo_pictures()["chelsea.png"], recording, "--labels", "chelsea,rocket", "-o", out, "--json")
    assert ended.code == 0, ended
    answer = json.loads(ended.out)
    assert [row["name"] for row in answer["recordings"]] == ["chelsea", "09-rocket"]
    assert (out / "index.html").read_text().count('src="data:image/webp') == 3


BAD_INPUT = {
    "truncated.jpg": "is no complete picture",
    "text.png": "is no .png file that can be read",
    "zero.png": "is empty (0 bytes)",
    "truncated.npz": "is no complete",
    "empty.npz": "has no events",
    "missing.png": "No such file",
    "unknown.xyz": "no reader knows this format",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["classify", "embed", "demo"])
@pytest.mark.parametrize("name", BAD_INPUT)
def test_a_bad_file_is_one_line_and_leaves_nothing_behind(cli, bad_files, tmp_path, command, name):
    output = tmp_path / "out.safetensors"
    options = {
        "classify": ["--labels", "a,b"],
        "embed": ["-o", output],
        "demo": ["-o", tmp_path / "demo", "--labels", "a,b"],
    }
    error = cli(command, bad_files[name], *options[command]).error()
    assert str(bad_files[name]) in error
    assert BAD_INPUT[name] in error
    assert not output.exists()
    assert not list(tmp_path.glob("demo/*.html"))


def test_with_skip_bad_the_rest_is_done_and_what_was_skipped_is_listed(cli, bad_files, tmp_path):
    good = demo_pictures()["rocket.jpg"]
    output = tmp_path / "v.safetensors"
    ended = cli("embed", *bad_files.values(), good, "-o", output, "--skip-bad", "--json")
    assert ended.code == 0
    assert anybind.load_embeddings(output)["image"].ids == (str(good),)
    assert sorted(json.loads(ended.out)["skipped"]) == sorted(map(str, bad_files.values()))
    assert ended.err.startswith(f"skipped {len(bad_files)}:")


def test_with_nothing_left_after_skipping_it_is_an_error(cli, bad_files, tmp_path):
    ended = cli("embed", bad_files["text.png"], "-o", tmp_path / "v.safetensors", "--skip-bad")
    assert ended.code == 2
    assert "no file could be embedded" in ended.err
    assert not (tmp_path / "v.safetensors").exists()


@pytest.mark.slow
def test_evaluate_skips_bad_samples_on_request(cli, pictures, bad_files):
    shutil.copy(bad_files["truncated.jpg"], pictures / "rocket")
    command = ("evaluate", "zero-shot", "--modality", "image", "--data", pictures)
    assert "truncated.jpg" in cli(*command).error()
    ended = cli(*command, "--skip-bad", "--json")
    assert json.loads(ended.out)["n"] == 4
    assert list(json.loads(ended.out)["skipped"]) == ["rocket/truncated.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "{p}", "--labels", "a,b,A"], "given twice: a"),
        (["classify", "{p}", "--labels", "a"], "at least two labels"),
        (["classify", "{p}", "--labels", "a,b", "--binding", "minni"], "no binding 'minni'; did you mean 'mini'"),
        (["classify", "{p}", "--labels", "a,b", "--template", "a photo"], "needs {} where"),
        (
            ["classify", "{p}", "--labels", "a,b", "--modality", "smell"],
            "there is no modality 'smell'; there are: depth, event, image, sound, text",
        ),
        (["classify", "{d}", "--labels", "a,b"], "holds no samples"),
        (["embed", "{d}", "-o", "x.safetensors"], "holds no samples"),
        (["embed", "{p}", "-o", "{d}/absent/x.safetensors"], "cannot write"),
        (["demo", "{p}"], "name words with --labels"),
        (["demo", "-o", "{p}/x"], "cannot make the folder"),
        (["evaluate", "zero-shot", "--modality", "image", "--data", "{d}"], "one folder a class"),
        (["evaluate", "zero-shot", "--modality", "image", "--data", "{d}/absent"], "is no folder"),
        (
            ["evaluate", "zeroshot", "--modality", "image", "--data", "{d}"],
            "no task 'zeroshot'; did you mean 'zero-shot'",
        ),
        (["evaluate", "zero-shot", "--modality", "evnt", "--data", "{d}"], "no modality 'evnt'; did you mean 'event'"),
        (["clasify", "{p}"], "no command 'clasify'; did you mean 'classify'"),
        (["embd", "{p}"], "no command 'embd'; did you mean 'embed'"),
    ],
)
def test_a_bad_request_is_one_line_that_says_what_to_do(cli, tmp_path, arguments, message):
    empty = tmp_path / "nothing"
    empty.mkdir()
    picture = demo_pictures()["rocket.jpg"]
    error = cli(*(argument.format(p=picture, d=empty) for argument in arguments)).error()
    assert message in error


@pytest.mark.slow
def test_debug_shows_the_traceback_at_any_place(run_anybind):
    for arguments in (["--debug", "classify", "absent.png"], ["classify", "absent.png", "--debug"]):
        result = run_anybind(*arguments, "--labels", "a,b")
        assert result.returncode != 0
        assert "Traceback" in result.stderr
        assert "absent.png" in result.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_without_debug_a_process_ends_with_two_and_one_line(run_anybind):
    result = run_anybind("classify", "absent.png", "--labels", "a,b")
    assert result.returncode == 2
    assert result.stderr == "error: cannot read absent.png: No such file or directory; check the path\n"


@pytest.mark.slow
def test_a_long_text_is_cut_with_a_warning_that_shows_where(run_anybind):
    words = " ".join(f"word{i}" for i in range(300))
    result = run_anybind("classify", demo_pictures()["rocket.jpg"], "--labels", f"a rocket,{words}", "--json")
    assert result.returncode == 0, result.stderr
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("warning: text cut to 256 tokens: kept up to '")
    assert "dropped '" in line


def test_a_weight_file_of_another_model_is_refused(cli, tmp_path):
    import torch

    class Other(TorchEncoder):
        def preprocess(self, sample): ...

    other = Other(torch.nn.Linear(2, 2), modality="event", space=anybind.Space("o", 2), preprocessing={})
    other.save_weights(tmp_path / "w.safetensors")
    (tmp_path / "b.toml").write_text(
        f'name = "b"\nspace = "efficientnet-lite0"\n[encoders.image]\nuse = "mini-image"\n[encoders.event]\n'
        f'use = "event-encoder"\nimage_encoder = "@image"\nweights = "{tmp_path}/w.safetensors"\n'
    )
    picture = demo_pictures()["rocket.jpg"]
    command = ("embed", picture, "-o", tmp_path / "v.safetensors", "--binding", tmp_path / "b.toml")
    assert cli(*command).code == 0  # the image tower is fine
    recording = tmp_path / "r.npz"
    anybind.write(anybind.derive("event", anybind.read(picture)), recording)
    error = cli("embed", recording, *command[2:]).error()
    assert f"{tmp_path}/w.safetensors holds weights for o (2-d), not for efficientnet-lite0" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["classify", "{p}", "--labels", "a,b", "--device", "nonsense"], "cannot use the device 'nonsense'"),
        (["embed", "{p}", "-o", "{d}"], "it is no regular file"),
        (["classify", "{p}", "--labels", "absent.csv"], "absent.csv: No such file"),
        (["evaluate", "zero-shot", "--modality", "image", "--data", "{d}", "--option", "x"], "given as NAME=VALUE"),
    ],
)
def test_more_bad_requests(cli, pictures, arguments, message):
    picture = demo_pictures()["rocket.jpg"]
    assert message in cli(*(argument.format(p=picture, d=pictures) for argument in arguments)).error()


def test_a_fault_of_a_plugin_is_one_line_and_ends_with_one(cli, monkeypatch):
    from anybind.plugin import tables

    monkeypatch.setattr(tables, "parse_names", lambda text: 1 / 0)
    ended = cli("classify", "x.png", "--labels", "a,b")
    assert ended.code == 1
    assert ended.err == "error: internal: ZeroDivisionError: division by zero; --debug shows where\n"


def test_the_version_is_told(cli):
    assert cli("--version").out.startswith("anybind ")


def test_the_demo_skips_what_cannot_be_recorded_and_names_the_users_own_file(cli, bad_files, tmp_path):
    import PIL.Image

    blank = tmp_path / "blank.png"
    PIL.Image.new("RGB", (40, 30), "gray").save(blank)
    files = [*bad_files.values(), blank, demo_pictures()["rocket.jpg"], demo_pictures()["chelsea.png"]]
    assert f"{blank}: the recording is empty" in cli("demo", *files[-3:], "-o", tmp_path / "a").error()
    ended = cli("demo", *files, "-o", tmp_path / "b", "--skip-bad", "--json")
    assert ended.code == 0
    answer = json.loads(ended.out)
    assert sorted(answer["skipped"]) == sorted(map(str, files[:-2]))
    assert [row["name"] for row in answer["recordings"]] == ["rocket", "chelsea"]


def test_words_count_as_captions_however_they_are_cased(cli, tmp_path):
    shutil.copy(demo_pictures()["rocket.jpg"], tmp_path / "ROCKET.jpg")
    ended = cli("demo", tmp_path / "ROCKET.jpg", "--labels", "Cat,Rocket", "-o", tmp_path / "o", "--json")
    summary = json.loads(ended.out)["summary"]
    assert [score["of"] for score in summary] == [1, 1, 1, 1]


@pytest.mark.slow
def test_a_file_whose_name_is_no_unicode_is_embedded(run_anybind, tmp_path):
    import os

    strange = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    shutil.copy(demo_pictures()["rocket.jpg"], strange)
    result = run_anybind("embed", tmp_path, "-o", tmp_path / "v.safetensors")
    assert result.returncode == 0, result.stderr
    (id,) = anybind.load_embeddings(tmp_path / "v.safetensors")["image"].ids
    assert id.endswith("caf\\xe9.jpg")


@pytest.mark.slow
def test_a_seed_that_made_recordings_is_part_of_the_encoders_identity(cli, pictures):
    def encoders(modality, seed):
        command = ("evaluate", "zero-shot", "--modality", modality, "--data", pictures, "--seed", seed, "--json")
        return json.loads(cli(*command).out)["encoders"]

    assert encoders("event", 1)["event"] != encoders("event", 2)["event"]
    assert encoders("event", 1)["text"] == encoders("event", 2)["text"]
    assert encoders("image", 1) == encoders("image", 2)
