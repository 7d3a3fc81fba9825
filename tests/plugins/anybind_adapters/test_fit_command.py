"""`anybind fit-adapter`: pairs, reports, files, and errors."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_adapters import fit_adapter
from anybind_adapters.card import read_card
from anybind_media.sound import Waveform

pytestmark = pytest.mark.torch

BINDING = 'name = "{name}"\nspace = "{space}"\n[encoders.{modality}]\nuse = "small-{modality}"\nspace = "{space}"\ndim = {dim}\n'


@pytest.fixture
def binding(tmp_path, small_encoders):
    """Write a binding of one small encoder, and return its path."""

    def write(name, dim=16, modality="image"):
        path = tmp_path / f"{name}.toml"
        path.write_text(BINDING.format(name=name, space=f"space-{name}", dim=dim, modality=modality))
        return path

    return write


@pytest.fixture
def fit(cli, tmp_path):
    """Run the command; return its JSON and the path of its file."""

    def run(*arguments):
        path = tmp_path / "adapter.safetensors"
        outcome = cli("fit-adapter", *arguments, "-o", path, "--json")
        assert outcome.code == 0, outcome
        return json.loads(outcome.out), path

    return run


def test_the_function_gives_what_the_command_prints(fit, binding, image_folder, tmp_path):
    sides, classes = (str(binding("a", 16)), str(binding("b", 20))), image_folder
    report, path = fit(
        "--source", sides[0], "--target", sides[1], "--data", classes, "--fit-option", "folds=3", "--seed", 2
    )
    fitted = fit_adapter(*sides, data=classes, folds=3, seed=2)
    fitted.save(tmp_path / "function.safetensors")
    assert (fitted.data, fitted.validation) == (report["data"], report["validation"])
    assert (tmp_path / "function.safetensors").read_bytes() == path.read_bytes()


def test_embeddings_are_paired_by_id(small_encoders, make_pairs):
    source, target = make_pairs()
    fitted = fit_adapter(source, target[::-1], adapter="procrustes")
    assert fitted.n_fit == 48
    assert fitted.adapter(source).space == target.space
    with pytest.raises(BadOption, match="expected embeddings on both sides"):
        fit_adapter(source, "b.toml")


@pytest.mark.parametrize("adapter", ["ridge", "procrustes", "linear", "mlp"])
def test_images_are_embedded_on_both_sides_and_the_card_has_the_results(fit, binding, image_folder, adapter):
    a, b = binding("a", 16), binding("b", 20)
    report, path = fit("--source", a, "--target", b, "--data", image_folder, "--adapter", adapter)
    assert (report["data"]["n"], report["data"]["n_fit"]) == (42, 33)
    assert report["validation"]["before"] is None  # different dimensions
    assert report["validation"]["chance"]["forward"]["r1"] == pytest.approx(1 / 9)
    assert report["validation"]["after"]["forward"]["r1"] > 0.5
    assert report["validation"]["after"]["back"]["n"] == 9
    card = read_card(path)
    assert (card["source"], card["target"]) == (
        anybind.Space("space-a", 16, "small"),
        anybind.Space("space-b", 20, "small"),
    )
    assert card["metadata"] == {"data": report["data"], "held_out": report["validation"]}  # the file's key
    assert card["settings"] == report["settings"]
    assert report["data"]["from"]["encoder"] == anybind.load(a).identity("image")


def test_the_written_file_works_in_a_binding(fit, binding, image_folder, tmp_path):
    a, b = binding("a", 16), binding("b", 20)
    report, path = fit("--source", a, "--target", b, "--data", image_folder)
    mixed = a.read_text().replace('space = "space-a"\n[enc', 'space = "space-b"\n[enc')
    (tmp_path / "mixed.toml").write_text(f'{mixed}[[adapters]]\nuse = "ridge"\nweights = "./{path.name}"\n')
    files = sorted(image_folder.rglob("*.png"))
    adapted = anybind.load(tmp_path / "mixed.toml").embed("image", files)
    cosines = adapted @ anybind.load(b).embed("image", files)
    assert np.mean(np.argmax(cosines, axis=1) == np.arange(42)) > 0.8
    assert report["validation"]["after"]["forward"]["n"] == 9


def test_equal_dimensions_are_also_evaluated_without_the_adapter(fit, binding, image_folder):
    report, _ = fit("--source", binding("a", 16), "--target", binding("b", 16), "--data", image_folder)
    assert report["validation"]["before"]["forward"]["r1"] == 1.0  # the same encoder under another name


def test_images_are_paired_with_class_texts_and_whole_classes_are_held_out(fit, binding, image_folder):
    report, path = fit(
        "--source", binding("a"), "--target", f"{binding('w', 10, 'text')}:text", "--modality", "image",
        "--data", image_folder, "--prompt", "a {}",
    )  # fmt: skip
    after = report["validation"]["after"]
    assert (after["forward"]["n"], after["forward"]["gallery_size"]) == (9, 3)
    assert (after["back"]["n"], after["back"]["gallery_size"]) == (3, 9)
    assert report["validation"]["chance"]["forward"]["r1"] == pytest.approx(1 / 3)
    assert report["data"]["to"]["modality"] == "text"
    assert read_card(path)["target"].name == "space-w"


def test_classes_selects_class_folders(fit, binding, image_folder):
    names = sorted(path.name for path in image_folder.iterdir())[:11]
    report, _ = fit(
        "--source", f"{binding('a')}:image", "--target", f"{binding('w', 10, 'text')}:text",
        "--data", image_folder, "--classes", ",".join(names),
    )  # fmt: skip
    assert (report["data"]["n"], report["data"]["n_fit"]) == (33, 24)


def test_texts_may_be_the_source_and_read_from_a_file(fit, binding, image_folder, tmp_path):
    files = sorted(image_folder.rglob("*.png"))
    ids = [path.relative_to(image_folder).as_posix() for path in files]
    (tmp_path / "captions.json").write_text(json.dumps({id: f"{id} is number {n}" for n, id in enumerate(ids[:30])}))
    report, path = fit(
        "--source", f"{binding('w', 10, 'text')}:text", "--target", f"{binding('a')}:image",
        "--data", image_folder, "--texts", tmp_path / "captions.json",
    )  # fmt: skip
    assert report["data"]["n"] == 30
    assert read_card(path)["source"].name == "space-w"


def test_texts_are_embedded_on_both_sides(fit, binding, tmp_path):
    texts = [f"{a} {b}" for a in ("red", "blue", "green", "dark") for b in ("duck", "kettle", "lamp", "fox")]
    (tmp_path / "texts.txt").write_text("\n".join([*texts, texts[0]]))
    report, _ = fit(
        "--source", binding("w", 10, "text"), "--target", binding("v", 12, "text"), "--texts", tmp_path / "texts.txt",
        "--fit-option", "strengths=0.01",
    )  # fmt: skip
    assert report["data"]["n"] == 16  # without the repeated text
    assert report["settings"]["strength"] == 0.01
    assert report["data"]["from"]["modality"] == "text"


def test_files_of_two_modalities_are_paired_by_name(fit, binding, image_folder, tmp_path):
    for number, path in enumerate(sorted(image_folder.rglob("*.png"))[:20]):
        tone = 0.1 + np.abs(np.sin(np.arange(400) * (number + 1) / 40)).astype(np.float32)[None] / 2
        anybind.write(Waveform(tone, 8000), path.with_suffix(".wav"))
    sound = tmp_path / "sound.toml"
    sound.write_text('name = "s"\n[encoders.sound]\nuse = "imagebind-sound"\n')
    report, _ = fit("--source", f"{binding('a')}:image", "--target", f"{sound}:sound", "--data", image_folder)
    assert report["data"]["n"] == 20
    assert (report["data"]["from"]["modality"], report["data"]["to"]["modality"]) == ("image", "sound")


def test_ambiguous_file_names_are_rejected(cli, binding, image_folder, tmp_path):
    path = next(image_folder.rglob("1.png"))
    PIL.Image.open(path).save(path.with_suffix(".bmp"))
    anybind.write(Waveform(np.full((1, 400), 0.5, np.float32), 8000), path.with_suffix(".wav"))
    sound = tmp_path / "sound.toml"
    sound.write_text('name = "s"\n[encoders.sound]\nuse = "imagebind-sound"\n')
    command = ("fit-adapter", "--source", f"{binding('a')}:image", "--target", f"{sound}:sound", "--data", image_folder)
    assert "have the same name: it is ambiguous" in cli(*command, "-o", tmp_path / "x.safetensors").error()


def test_files_of_embeddings_are_paired_by_id(fit, make_pairs, tmp_path):
    source, target = make_pairs()
    shuffled = np.random.default_rng(0).permutation(60)
    anybind.save_embeddings(tmp_path / "a.safetensors", [source])
    anybind.save_embeddings(tmp_path / "b.safetensors", [target[shuffled][:50]])
    report, path = fit("--source", tmp_path / "a.safetensors", "--target", f"{tmp_path / 'b.safetensors'}:image")
    assert report["data"]["n"] == 50
    assert report["validation"]["after"]["forward"]["r1"] > 0.5
    assert read_card(path)["source"] == source.space


def test_the_seed_determines_the_result(fit, make_pairs, tmp_path):
    for name, side in zip("ab", make_pairs(), strict=True):
        anybind.save_embeddings(tmp_path / f"{name}.safetensors", [side])

    def run(seed):
        report, path = fit(
            "--source", tmp_path / "a.safetensors", "--target", tmp_path / "b.safetensors", "--seed", seed
        )
        return report, path.read_bytes()

    assert run(3) == run(3)
    assert run(3)[0]["data"]["seed"] == 3
    assert run(3)[1] != run(4)[1]


def test_the_table_shows_chance_before_and_after(cli, make_pairs, tmp_path):
    for name, side in zip("ab", make_pairs(d=6), strict=True):
        anybind.save_embeddings(tmp_path / f"{name}.safetensors", [side])
    command = ("fit-adapter", "--source", tmp_path / "a.safetensors", "--target", tmp_path / "b.safetensors")
    outcome = cli(*command, "-o", tmp_path / "x.safetensors")
    assert outcome.code == 0
    rows = [line.split() for line in outcome.out.splitlines() if "forward" in line or "back" in line]
    assert [row[3] for row in rows] == ["chance", "before", "after"] * 2
    assert all(len(line) <= 80 for line in outcome.out.splitlines() if "│" in line)
    assert "fitted on 48 pairs" in " ".join(outcome.out.split())


def test_invalid_images_are_errors_or_skipped(cli, fit, binding, image_folder):
    path = next(image_folder.iterdir()) / "invalid.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    command = ("--source", binding("a"), "--target", binding("b", 20), "--data", image_folder)
    assert "invalid.png" in cli("fit-adapter", *command, "-o", image_folder.parent / "y.safetensors").error()
    report, _ = fit(*command, "--skip-invalid")
    assert report["data"]["n"] == 42
    assert [name.rpartition("/")[2] for name in report["skipped"]] == ["invalid.png"]


def test_too_few_pairs_are_rejected(cli, binding, image_folder, tmp_path):
    for path in sorted(image_folder.iterdir())[3:]:
        shutil.rmtree(path)
    command = ("fit-adapter", "--source", binding("a"), "--target", binding("b", 20), "--data", image_folder)
    message = cli(*command, "-o", tmp_path / "x.safetensors").error()
    assert "expected pairs of at least 10 groups, got 9 pairs of 9 groups" in message
    assert not (tmp_path / "x.safetensors").exists()


def test_many_images_of_few_classes_are_too_few_groups(cli, binding, image_folder, tmp_path):
    for path in sorted(image_folder.iterdir())[9:]:
        shutil.rmtree(path)
    texts = f"{binding('w', 10, 'text')}:text"
    command = ("fit-adapter", "--source", f"{binding('a')}:image", "--target", texts, "--data", image_folder)
    assert "got 27 pairs of 9 groups" in cli(*command, "-o", tmp_path / "x.safetensors").error()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "A", "--target", "A"), "are one space, space-a"),
        (("--source", "A", "--target", "B"), "the data folder is missing: --data DIR"),
        (("--source", "A", "--target", "W"), "have no modality in common: name one as BINDING:MODALITY"),
        (("--source", "A", "--target", "B", "--data", "D", "--modality", "text"), "no encoder for 'text'"),
        (("--source", "W", "--target", "V"), "texts are missing: --texts FILE"),
        (("--source", "A", "--target", "B", "--data", "D", "--texts", "T"), "--texts: expected a side with text"),
        (("--source", "A:image", "--target", "W:text", "--data", "D", "--texts", "T"), "not valid JSON"),
        (("--source", "A:image", "--target", "W:text", "--data", "D", "--texts", "J"), "j.json: expected JSON of texts by sample"),
        (("--source", "A:image", "--target", "W:text", "--data", "D", "--texts", "absent.json"), "cannot read absent.json"),
        (("--source", "A", "--target", "B", "--data", "absent"), "absent"),
        (("--source", "A", "--target", "B", "--data", "D", "--adapter", "rigde"), "did you mean 'ridge'"),
        (("--source", "A", "--target", "B", "--data", "D", "--fit-option", "fold=3"), "no fit option 'fold' (options: strengths"),
        (("--source", "A", "--target", "B", "--data", "D", "--fit-option", "folds=1"), "folds: expected a whole number above 1"),
        (("--source", "A", "--target", "B", "--data", "D", "--val-fraction", "1.5"), "val_fraction: expected a number above 0 and below 1"),
        (("--source", "A", "--target", "x.safetensors", "--data", "D"), "expected files of embeddings on both sides or on none"),
        (("--source", "x.safetensors", "--target", "y.safetensors"), "cannot read x.safetensors"),
        (("--source", "x.safetensors", "--target", "y.safetensors", "--data", "D"), "remove data and texts"),
        (("--source", "nonsense", "--target", "B", "--data", "D"), "there is no binding 'nonsense'"),
        (("--source", "A", "--target", "B", "--data", "D", "--prompt", "a"), "needs {} where the class name goes"),
    ],
)  # fmt: skip
def test_an_invalid_command_is_one_line(cli, binding, image_folder, tmp_path, arguments, message):
    (tmp_path / "t.txt").write_text("a\nb\n")
    (tmp_path / "j.json").write_text('["a"]')
    names = {
        "A": binding("a"), "B": binding("b", 20), "W": binding("w", 10, "text"), "V": binding("v", 12, "text"),
        "D": image_folder, "T": tmp_path / "t.txt", "J": tmp_path / "j.json",
    }  # fmt: skip
    parts = [each.partition(":") for each in arguments]
    resolved = [f"{names.get(name, name)}{colon}{rest}" for name, colon, rest in parts]
    assert message in cli("fit-adapter", *resolved, "-o", tmp_path / "x.safetensors").error()
    assert not (tmp_path / "x.safetensors").exists()


def test_an_adapter_without_fit_is_rejected(cli, tmp_path):
    command = ("fit-adapter", "--source", "mini", "--target", "mini", "--adapter", "mini-image-to-text")
    message = cli(*command, "-o", tmp_path / "x.safetensors").error()
    assert "'mini-image-to-text' cannot be fitted from pairs; choose one of: linear, mlp, procrustes, ridge" in message


@pytest.mark.parametrize("problem", ["ids", "repeated id", "one space", "modalities"])
def test_files_of_embeddings_that_cannot_be_paired_are_rejected(cli, make_pairs, tmp_path, problem):

    source, target = make_pairs()
    message = {"ids": "have no ids in common", "repeated id": "expected unique ids, got 'item 0' twice",
               "one space": "are of one space", "modalities": "has embeddings of image, text: select one",
               }[problem]  # fmt: skip
    if problem == "ids":
        target = replace(target, ids=tuple(f"other {n}" for n in range(60)))
    if problem == "repeated id":
        source = source[[*range(60), 0]]
    if problem == "one space":
        target = source
    more = [replace(source, modality="text")] if problem == "modalities" else []
    anybind.save_embeddings(tmp_path / "a.safetensors", [source, *more])
    anybind.save_embeddings(tmp_path / "b.safetensors", [target])
    command = ("fit-adapter", "--source", tmp_path / "a.safetensors", "--target", tmp_path / "b.safetensors")
    assert message in cli(*command, "-o", tmp_path / "x.safetensors").error()


@pytest.mark.long
@pytest.mark.slow
def test_the_command_fits_minis_images_to_minis_texts(run_anybind, image_folder, tmp_path):
    for path in image_folder.rglob("[12].png"):
        path.unlink()
    PIL.Image.new("RGB", (9, 9)).save(next(image_folder.iterdir()) / "more.png")
    path = tmp_path / "x.safetensors"
    outcome = run_anybind(
        "fit-adapter", "--source", "mini:image", "--target", "mini:text", "--data", image_folder, "--adapter",
        "procrustes", "-o", path, "--json", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stderr
    report = json.loads(outcome.stdout)
    assert (report["source"]["dim"], report["target"]["dim"], report["data"]["n"]) == (1280, 384, 15)
    adapter = create_part("adapter", "procrustes", weights=path)
    assert adapter.source == anybind.load("mini").encoder("image").space
