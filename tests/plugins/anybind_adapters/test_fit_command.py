"""`anybind fit-adapter`: what is paired with what, what it reports and writes, and what it refuses."""

from __future__ import annotations

import json
import shutil

import numpy as np
import PIL.Image
import pytest

import anybind
from anybind.errors import BadOption
from anybind.registry import create_part
from anybind_adapters import fit_adapter
from anybind_adapters.card import read_card

TINY = 'name = "{name}"\nspace = "{space}"\n[encoders.{of}]\nuse = "tiny-{of}"\nspace = "{space}"\ndim = {dim}\n'


@pytest.fixture
def binding(tmp_path, tiny_towers):
    """Write a binding of one stand-in tower, and return its path."""

    def write(name, dim=16, of="image"):
        path = tmp_path / f"{name}.toml"
        path.write_text(TINY.format(name=name, space=f"space-{name}", dim=dim, of=of))
        return path

    return write


@pytest.fixture
def fit(cli, tmp_path):
    """Run the command, and return what it prints as JSON, with the file's path."""

    def run(*arguments):
        path = tmp_path / "adapter.safetensors"
        ended = cli("fit-adapter", *arguments, "-o", path, "--json")
        assert ended.code == 0, ended
        return json.loads(ended.out), path

    return run


def test_the_function_gives_what_the_command_prints(fit, binding, classes_of_pictures, tmp_path):
    sides, classes = (str(binding("a", 16)), str(binding("b", 20))), classes_of_pictures
    told, path = fit("--from", sides[0], "--to", sides[1], "--data", classes, "--option", "folds=3", "--seed", 2)
    made = fit_adapter(*sides, data=classes, folds=3, seed=2)
    made.save(tmp_path / "mine.safetensors")
    assert (made.data, made.validation) == (told["data"], told["held_out"])
    assert (tmp_path / "mine.safetensors").read_bytes() == path.read_bytes()


def test_embeddings_are_paired_by_id(tiny_towers, make_pairs):
    source, target = make_pairs()
    made = fit_adapter(source, target[::-1], adapter="procrustes")
    assert made.n_fit == 48
    assert made.adapter(source).space == target.space
    with pytest.raises(BadOption, match="on both sides"):
        fit_adapter(source, "b.toml")


@pytest.mark.parametrize("kind", ["ridge", "procrustes", "linear", "mlp"])
def test_the_same_pictures_are_embedded_on_both_sides_and_the_card_says_what_came_of_it(
    fit, binding, classes_of_pictures, kind
):
    a, b = binding("a", 16), binding("b", 20)
    told, path = fit("--from", a, "--to", b, "--data", classes_of_pictures, "--kind", kind)
    assert (told["data"]["n"], told["data"]["n_fit"]) == (42, 33)
    assert told["held_out"]["before"] is None  # of different dimensions
    assert told["held_out"]["chance"]["forward"]["r1"] == pytest.approx(1 / 9)
    assert told["held_out"]["after"]["forward"]["r1"] > 0.5
    assert told["held_out"]["after"]["back"]["n"] == 9
    card = read_card(path)
    assert (card["source"], card["target"]) == (
        anybind.Space("space-a", 16, "tiny"),
        anybind.Space("space-b", 20, "tiny"),
    )
    assert card["about"] == {"data": told["data"], "held_out": told["held_out"]}
    assert card["settings"] == told["settings"]
    assert told["data"]["from"]["encoder"] == anybind.load(a).identity("image")


def test_the_written_file_works_in_a_binding(fit, binding, classes_of_pictures, tmp_path):
    a, b = binding("a", 16), binding("b", 20)
    told, path = fit("--from", a, "--to", b, "--data", classes_of_pictures)
    mixed = a.read_text().replace('space = "space-a"\n[enc', 'space = "space-b"\n[enc')
    (tmp_path / "mixed.toml").write_text(f'{mixed}[[adapters]]\nuse = "ridge"\nweights = "./{path.name}"\n')
    files = sorted(classes_of_pictures.rglob("*.png"))
    adapted = anybind.load(tmp_path / "mixed.toml").embed("image", files)
    cosines = adapted @ anybind.load(b).embed("image", files)
    assert np.mean(np.argmax(cosines, axis=1) == np.arange(42)) > 0.8
    assert told["held_out"]["after"]["forward"]["n"] == 9


def test_raw_cosines_stand_beside_where_dimensions_agree(fit, binding, classes_of_pictures):
    told, _ = fit("--from", binding("a", 16), "--to", binding("b", 16), "--data", classes_of_pictures)
    assert told["held_out"]["before"]["forward"]["r1"] == 1.0  # the same tower under another name


def test_pictures_go_with_the_words_of_their_class_and_classes_are_held_out_whole(fit, binding, classes_of_pictures):
    told, path = fit(
        "--from", binding("a"), "--to", f"{binding('w', 10, 'text')}:text", "--modality", "image",
        "--data", classes_of_pictures, "--template", "a {}",
    )  # fmt: skip
    after = told["held_out"]["after"]
    assert (after["forward"]["n"], after["forward"]["gallery"]) == (9, 3)
    assert (after["back"]["n"], after["back"]["gallery"]) == (3, 9)
    assert told["held_out"]["chance"]["forward"]["r1"] == pytest.approx(1 / 3)
    assert told["data"]["to"]["modality"] == "text"
    assert read_card(path)["target"].name == "space-w"


def test_classes_keeps_some_folders(fit, binding, classes_of_pictures):
    kept = sorted(path.name for path in classes_of_pictures.iterdir())[:11]
    told, _ = fit(
        "--from", f"{binding('a')}:image", "--to", f"{binding('w', 10, 'text')}:text",
        "--data", classes_of_pictures, "--classes", ",".join(kept),
    )  # fmt: skip
    assert (told["data"]["n"], told["data"]["n_fit"]) == (33, 24)


def test_words_may_come_first_and_texts_may_be_ones_own(fit, binding, classes_of_pictures, tmp_path):
    files = sorted(classes_of_pictures.rglob("*.png"))
    ids = [path.relative_to(classes_of_pictures).as_posix() for path in files]
    (tmp_path / "captions.json").write_text(json.dumps({id: f"{id} is number {n}" for n, id in enumerate(ids[:30])}))
    told, path = fit(
        "--from", f"{binding('w', 10, 'text')}:text", "--to", f"{binding('a')}:image",
        "--data", classes_of_pictures, "--texts", tmp_path / "captions.json",
    )  # fmt: skip
    assert told["data"]["n"] == 30
    assert read_card(path)["source"].name == "space-w"


def test_words_are_embedded_on_both_sides_a_text_a_line(fit, binding, tmp_path):
    words = [f"{a} {b}" for a in ("red", "blue", "green", "dark") for b in ("duck", "kettle", "lamp", "fox")]
    (tmp_path / "words.txt").write_text("\n".join([*words, words[0]]))
    told, _ = fit(
        "--from", binding("w", 10, "text"), "--to", binding("v", 12, "text"), "--texts", tmp_path / "words.txt",
        "--option", "strengths=0.01",
    )  # fmt: skip
    assert told["data"]["n"] == 16  # one stood there twice
    assert told["settings"]["strength"] == 0.01
    assert told["data"]["from"]["modality"] == "text"


def test_files_of_two_modalities_go_together_by_name(fit, binding, classes_of_pictures, tmp_path):
    for number, path in enumerate(sorted(classes_of_pictures.rglob("*.png"))[:20]):
        tone = 0.1 + np.abs(np.sin(np.arange(400) * (number + 1) / 40)).astype(np.float32)[None] / 2
        from anybind_media.sound import Waveform

        anybind.write(Waveform(tone, 8000), path.with_suffix(".wav"))
    sound = tmp_path / "sound.toml"
    sound.write_text('name = "s"\n[encoders.sound]\nuse = "imagebind-sound"\n')
    told, _ = fit("--from", f"{binding('a')}:image", "--to", f"{sound}:sound", "--data", classes_of_pictures)
    assert told["data"]["n"] == 20
    assert (told["data"]["from"]["modality"], told["data"]["to"]["modality"]) == ("image", "sound")


def test_two_files_of_one_name_cannot_be_paired_with_another_modality(cli, binding, classes_of_pictures, tmp_path):
    path = next(classes_of_pictures.rglob("1.png"))
    PIL.Image.open(path).save(path.with_suffix(".bmp"))
    sound = tmp_path / "sound.toml"
    sound.write_text('name = "s"\n[encoders.sound]\nuse = "imagebind-sound"\n')
    from anybind_media.sound import Waveform

    anybind.write(Waveform(np.full((1, 400), 0.5, np.float32), 8000), path.with_suffix(".wav"))
    command = (
        "fit-adapter",
        "--from",
        f"{binding('a')}:image",
        "--to",
        f"{sound}:sound",
        "--data",
        classes_of_pictures,
    )
    assert "are of one name, so that it is not clear" in cli(*command, "-o", tmp_path / "x.safetensors").error()


def test_files_of_vectors_are_paired_by_id_and_nothing_is_embedded(fit, make_pairs, tmp_path):
    source, target = make_pairs()
    shuffled = np.random.default_rng(0).permutation(60)
    anybind.save_embeddings(tmp_path / "a.safetensors", [source])
    anybind.save_embeddings(tmp_path / "b.safetensors", [target[shuffled][:50]])
    told, path = fit("--from", tmp_path / "a.safetensors", "--to", f"{tmp_path / 'b.safetensors'}:image")
    assert told["data"]["n"] == 50
    assert told["held_out"]["after"]["forward"]["r1"] > 0.5
    assert read_card(path)["source"] == source.space


def test_the_seed_decides_and_stands_in_the_result(fit, make_pairs, tmp_path):
    for name, side in zip("ab", make_pairs(), strict=True):
        anybind.save_embeddings(tmp_path / f"{name}.safetensors", [side])

    def run(seed):
        told, path = fit("--from", tmp_path / "a.safetensors", "--to", tmp_path / "b.safetensors", "--seed", seed)
        return told, path.read_bytes()

    assert run(3) == run(3)
    assert run(3)[0]["data"]["seed"] == 3
    assert run(3)[1] != run(4)[1]


def test_a_table_shows_chance_and_what_came_of_it(cli, make_pairs, tmp_path):
    for name, side in zip("ab", make_pairs(d=6), strict=True):
        anybind.save_embeddings(tmp_path / f"{name}.safetensors", [side])
    command = ("fit-adapter", "--from", tmp_path / "a.safetensors", "--to", tmp_path / "b.safetensors")
    ended = cli(*command, "-o", tmp_path / "x.safetensors")
    assert ended.code == 0
    rows = [line.split() for line in ended.out.splitlines() if "forward" in line or "back" in line]
    assert [row[3] for row in rows] == ["chance", "before", "after"] * 2
    assert "fitted on 48 pairs" in " ".join(ended.out.split())


def test_bad_pictures_are_told_or_left_out(cli, fit, binding, classes_of_pictures):
    bad = next(classes_of_pictures.iterdir()) / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    command = ("--from", binding("a"), "--to", binding("b", 20), "--data", classes_of_pictures)
    assert "bad.png" in cli("fit-adapter", *command, "-o", classes_of_pictures.parent / "y.safetensors").error()
    told, _ = fit(*command, "--skip-bad")
    assert told["data"]["n"] == 42
    assert [name.rpartition("/")[2] for name in told["skipped"]] == ["bad.png"]


def test_too_few_pairs_are_refused_and_nothing_is_written(cli, binding, classes_of_pictures, tmp_path):
    for path in sorted(classes_of_pictures.iterdir())[3:]:
        shutil.rmtree(path)
    command = ("fit-adapter", "--from", binding("a"), "--to", binding("b", 20), "--data", classes_of_pictures)
    told = cli(*command, "-o", tmp_path / "x.safetensors").error()
    assert "too few pairs: 9 of 9 different things; give at least 10" in told
    assert not (tmp_path / "x.safetensors").exists()


def test_many_pictures_of_few_words_are_too_few_things(cli, binding, classes_of_pictures, tmp_path):
    for path in sorted(classes_of_pictures.iterdir())[9:]:
        shutil.rmtree(path)
    words = f"{binding('w', 10, 'text')}:text"
    command = ("fit-adapter", "--from", f"{binding('a')}:image", "--to", words, "--data", classes_of_pictures)
    assert "27 of 9 different things" in cli(*command, "-o", tmp_path / "x.safetensors").error()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--from", "A", "--to", "A"), "are one space, space-a"),
        (("--from", "A", "--to", "B"), "say where the data is: --data DIR"),
        (("--from", "A", "--to", "W"), "embed nothing in common: name what goes in as BINDING:MODALITY"),
        (("--from", "A", "--to", "B", "--data", "D", "--modality", "text"), "no encoder for 'text'"),
        (("--from", "W", "--to", "V"), "which words are embedded: --texts FILE"),
        (("--from", "A", "--to", "B", "--data", "D", "--texts", "T"), "--texts goes with"),
        (("--from", "A:image", "--to", "W:text", "--data", "D", "--texts", "T"), "not valid JSON"),
        (("--from", "A:image", "--to", "W:text", "--data", "D", "--texts", "J"), "must hold a text for each sample"),
        (("--from", "A:image", "--to", "W:text", "--data", "D", "--texts", "absent.json"), "cannot read absent.json"),
        (("--from", "A", "--to", "B", "--data", "absent"), "absent is no folder"),
        (("--from", "A", "--to", "B", "--data", "D", "--kind", "rigde"), "did you mean 'ridge'"),
        (("--from", "A", "--to", "B", "--data", "D", "--option", "fold=3"), "takes no option 'fold' (options: strengths"),
        (("--from", "A", "--to", "B", "--data", "D", "--option", "folds=1"), "folds must be a whole number above 1"),
        (("--from", "A", "--to", "B", "--data", "D", "--held-out", "1.5"), "must lie between 0 and 1"),
        (("--from", "A", "--to", "x.safetensors", "--data", "D"), "files of vectors on both sides, or on none"),
        (("--from", "x.safetensors", "--to", "y.safetensors"), "cannot read x.safetensors"),
        (("--from", "x.safetensors", "--to", "y.safetensors", "--data", "D"), "leave out data and texts"),
        (("--from", "nonsense", "--to", "B", "--data", "D"), "there is no binding 'nonsense'"),
        (("--from", "A", "--to", "B", "--data", "D", "--template", "a"), "needs {} where the class name goes"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_one_line(cli, binding, classes_of_pictures, tmp_path, arguments, told):
    (tmp_path / "t.txt").write_text("a\nb\n")
    (tmp_path / "j.json").write_text('["a"]')
    names = {
        "A": binding("a"), "B": binding("b", 20), "W": binding("w", 10, "text"), "V": binding("v", 12, "text"),
        "D": classes_of_pictures, "T": tmp_path / "t.txt", "J": tmp_path / "j.json",
    }  # fmt: skip
    given = [
        f"{names.get(name, name)}{colon}{rest}" for name, colon, rest in (each.partition(":") for each in arguments)
    ]
    assert told in cli("fit-adapter", *given, "-o", tmp_path / "x.safetensors").error()
    assert not (tmp_path / "x.safetensors").exists()


def test_an_adapter_that_was_not_made_for_it_cannot_be_fitted(cli, tmp_path):
    command = ("fit-adapter", "--from", "mini", "--to", "mini", "--kind", "mini-image-to-text")
    told = cli(*command, "-o", tmp_path / "x.safetensors").error()
    assert "'mini-image-to-text' cannot be fitted from pairs; there are: linear, mlp, procrustes, ridge" in told


@pytest.mark.parametrize("change", ["apart", "twice", "one space", "modalities"])
def test_files_of_vectors_that_cannot_be_paired_are_told(cli, make_pairs, tmp_path, change):
    from dataclasses import replace

    source, target = make_pairs()
    told = {"apart": "no id is on both sides", "twice": "'thing 0' twice", "one space": "are of one space",
            "modalities": "holds vectors of image, text: name one"}[change]  # fmt: skip
    if change == "apart":
        target = replace(target, ids=tuple(f"other {n}" for n in range(60)))
    if change == "twice":
        source = source[[*range(60), 0]]
    if change == "one space":
        target = source
    more = [replace(source, modality="text")] if change == "modalities" else []
    anybind.save_embeddings(tmp_path / "a.safetensors", [source, *more])
    anybind.save_embeddings(tmp_path / "b.safetensors", [target])
    command = ("fit-adapter", "--from", tmp_path / "a.safetensors", "--to", tmp_path / "b.safetensors")
    assert told in cli(*command, "-o", tmp_path / "x.safetensors").error()


@pytest.mark.slow
def test_a_process_of_its_own_fits_minis_pictures_to_minis_words(run_anybind, classes_of_pictures, tmp_path):
    for path in classes_of_pictures.rglob("[12].png"):
        path.unlink()
    PIL.Image.new("RGB", (9, 9)).save(next(classes_of_pictures.iterdir()) / "more.png")
    path = tmp_path / "x.safetensors"
    ended = run_anybind(
        "fit-adapter", "--from", "mini:image", "--to", "mini:text", "--data", classes_of_pictures, "--kind",
        "procrustes", "-o", path, "--json", OMP_NUM_THREADS="1",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["source"]["dim"], told["target"]["dim"], told["data"]["n"]) == (1280, 384, 15)
    adapter = create_part("adapter", "procrustes", weights=path)
    assert adapter.source == anybind.load("mini").encoder("image").space
