"""`anybind search`: queries of every kind, rankings of each modality by itself, and the page."""

from __future__ import annotations

import json
import re
import shutil

import pytest

import anybind
import anybind_retrieval
from anybind_classification.demo_pictures import demo_pictures


def search(cli, *arguments, binding="colours:sound"):
    ended = cli("search", *arguments, "--json", "--binding", binding)
    assert ended.code == 0, ended
    return json.loads(ended.out)


def names(found, kind):
    return [hit["file"].rpartition("/")[2] for hit in found["hits"] if hit["modality"] == kind]


@pytest.fixture
def full(world):
    """The world with sounds in it."""
    for colour in ("red", "green", "blue"):
        world.sound(f"{colour}.wav", colour)
    return world


def test_words_find_files_of_each_modality_ranked_by_themselves(cli, full):
    found = search(cli, "something red", "--in", full.folder, "--top", "2")
    assert names(found, "image")[0] == "a red.png"
    assert names(found, "sound")[0] == "red.wav"
    assert [(hit["modality"], hit["rank"]) for hit in found["hits"]] == [
        ("image", 1), ("image", 2), ("sound", 1), ("sound", 2),
    ]  # fmt: skip
    assert found["searched"] == {"image": 3, "sound": 3}
    cosines = [hit["cosine"] for hit in found["hits"]]
    assert cosines[0] > cosines[1]
    assert cosines[2] > cosines[3]
    expected = anybind.load("colours").embed("text", "something red") @ anybind.load("colours").embed(
        "image", [full.folder / "a red.png"]
    )
    assert cosines[0] == pytest.approx(float(expected[0, 0]), abs=1e-6)


def test_a_folder_a_file_and_a_database_give_the_same_answer(cli, full):
    for place in ("i.safetensors", "i.lance"):
        assert cli("index", full.folder, "-o", place, "--binding", "colours:sound").code == 0
    answers = [
        search(cli, "green or blue", "--in", place)["hits"] for place in (full.folder, "i.safetensors", "i.lance")
    ]
    assert answers[0] == answers[1] == answers[2]
    assert len(answers[0]) == 6


def test_a_sound_finds_pictures_and_not_itself(cli, full):
    found = search(cli, full.folder / "blue.wav", "--in", full.folder)
    assert (found["modality"], found["embedded_as"]) == ("sound", "sound")
    assert names(found, "image")[0] == "blue.png"
    assert names(found, "sound") == ["green.wav", "red.wav"]


def test_one_modality_is_searched_on_request(cli, full):
    assert {hit["modality"] for hit in search(cli, "red", "--in", full.folder, "--modality", "sound")["hits"]} == {
        "sound"
    }


def test_a_picture_can_be_taken_as_the_recording_made_of_it(cli, full):
    arguments = (full.folder / "a red.png", "--in", full.folder, "--as", "event")
    import PIL.Image

    PIL.Image.effect_noise((32, 32), 90).convert("RGB").save(full.folder / "a red.png")
    found = search(cli, *arguments, binding="colours:event")
    assert (found["modality"], found["embedded_as"]) == ("image", "event")


def test_the_binding_of_an_index_is_the_default_if_it_is_installed(cli, world):
    cli("index", world.folder, "-o", "i.safetensors", "--binding", "colours")
    ended = cli("search", "red", "--in", "i.safetensors", "--json")
    assert json.loads(ended.out)["binding"] == "colours"


@pytest.mark.parametrize("name", ["other.toml", "open_clip:hf-hub:someone/something", "/etc/evil.toml"])
def test_an_index_does_not_choose_files_or_models_to_load(cli, world, name):
    (world.folder.parent / "other.toml").write_text(
        f"name = '{name}'\nspace = 'colour'\n"
        "[encoders.image]\nuse = 'colour'\nmodality = 'image'\n[encoders.text]\nuse = 'colour'\nmodality = 'text'\n"
    )
    assert cli("index", world.folder, "-o", "i.safetensors", "--binding", "other.toml").code == 0
    error = cli("search", "red", "--in", "i.safetensors").error()
    assert f"made with the binding '{name}'; name it, or its file, with --binding" in error
    assert cli("search", "red", "--in", "i.safetensors", "--binding", "other.toml").code == 0


def test_a_folder_is_embedded_once(cli, world, tmp_path):
    before = search(cli, "red", "--in", world.folder, binding="colours")
    (kept,) = (tmp_path / "cache" / "anybind" / "search").iterdir()
    stamp = kept.stat().st_mtime_ns
    assert search(cli, "red", "--in", world.folder, binding="colours") == before
    assert kept.stat().st_mtime_ns == stamp
    world.picture("new.png", "red")
    assert "new.png" in names(search(cli, "red", "--in", world.folder, binding="colours"), "image")


@pytest.mark.parametrize("damage", [b"", b"damage" * 50])
def test_a_damaged_cache_is_made_anew(cli, world, tmp_path, damage):
    before = search(cli, "red", "--in", world.folder, binding="colours")
    (kept,) = (tmp_path / "cache" / "anybind" / "search").iterdir()
    kept.write_bytes(damage)
    assert search(cli, "red", "--in", world.folder, binding="colours") == before


def test_a_folder_is_embedded_anew_by_another_encoder_of_the_same_name(cli, world):
    search(cli, "red", "--in", world.folder, binding="colours")
    (world.folder.parent / "other.toml").write_text(
        "name = 'colours'\nspace = 'colour'\n[encoders.text]\nuse = 'colour'\nmodality = 'text'\n"
        "[encoders.image]\nuse = 'colour'\nmodality = 'image'\nweights = '111111111111'\n"
    )
    assert names(search(cli, "red", "--in", world.folder, binding="other.toml"), "image")[0] == "a red.png"


def test_files_that_are_gone_or_changed_are_told(cli, world):
    cli("index", world.folder, "-o", "i.safetensors", "--binding", "colours")
    (world.folder / "a red.png").unlink()
    world.picture("green.png", "yellow", mtime=1_700_000_000_000_000_000)
    found = search(cli, "red", "--in", "i.safetensors", "-o", "p.html", binding="colours")
    assert [hit["state"] for hit in found["hits"]] == ["missing", "unchanged", "changed"]
    ended = cli("search", "red", "--in", "i.safetensors")
    assert "files/a red.png (missing)" in ended.out
    page = (world.folder.parent / "p.html").read_text()
    assert "The file is not there any more." in page
    assert "The file was changed after it was indexed." in page


def test_bad_files_are_skipped_on_request(cli, world):
    (world.folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    assert "bad.png" in cli("search", "red", "--in", world.folder, "--binding", "colours").error()
    found = search(cli, "red", "--in", world.folder, "--skip-bad", binding="colours")
    assert len(found["hits"]) == 3
    assert list(found["skipped"]) == [str(world.folder / "bad.png")]


def test_the_table_names_files_from_here(cli, world):
    ended = cli("search", "blue", "--in", world.folder, "--binding", "colours", "--top", "1")
    assert "files/deep/blue.png" in ended.out
    assert str(world.folder) not in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dogg.png", "--in", "{d}"], "there is no file dogg.png; check the path, or search for the words"),
        (["  ", "--in", "{d}"], "the query is empty"),
        (["red", "--in", "{d}/absent"], "there is no folder and no index"),
        (["red", "--in", "absent.safetensors"], "there is no folder and no index absent.safetensors"),
        (["red", "--in", "absent.lance"], "there is no index absent.lance"),
        (["red", "--in", "{d}/green.png"], "green.png"),
        (["red", "--in", "{d}", "--modality", "sound"], "embeds no sound"),
        (["red", "--in", "{d}", "--as", "imag"], "embeds no imag; did you mean 'image'"),
        (["red", "--in", "{d}", "--approximate"], "--approximate is for an index that ends in .lance"),
        (["red", "--in", "{d}", "-o", "absent/p.html"], "there is no folder"),
        (["{d}/tone.wav", "--in", "{d}"], "is sound, which the binding does not embed"),
        (["{d}", "--in", "{d}"], "is a folder; give a file"),
    ],
)
def test_a_bad_request_is_one_line(cli, world, arguments, message):
    world.sound("tone.wav", "red")
    command = [argument.format(d=world.folder) for argument in arguments]
    assert message in cli("search", *command, "--binding", "colours").error()


def test_words_named_like_a_file_can_be_searched_for(cli, world):
    found = search(cli, "red.png", "--in", world.folder, "--as", "text", binding="colours")
    assert (found["modality"], names(found, "image")[0]) == ("text", "a red.png")


def test_very_long_words_are_words(cli, world):
    assert search(cli, "red " * 2000, "--in", world.folder, binding="colours")["modality"] == "text"


def test_the_page_holds_all_it_needs_and_escapes_what_it_is_given(cli, full, tmp_path):
    full.picture("<b>&\"'.png", "red")
    (tmp_path / "words.txt").write_text("red <script>alert('text')</script>\n")
    index = ("index", full.folder, "--texts", tmp_path / "words.txt", "-o", "i.safetensors")
    assert cli(*index, "--binding", "colours:sound").code == 0
    query = "red <script>alert('query')</script> </title>"
    search(cli, query, "--in", "i.safetensors", "-o", "p.html", "--top", "4")
    page = (tmp_path / "p.html").read_text()
    assert "<script" not in page
    assert "<b>" not in page
    assert "red &lt;script&gt;alert(&#39;query&#39;)&lt;/script&gt; &lt;/title&gt;" in page
    assert "red &lt;script&gt;alert(&#39;text&#39;)" in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert not re.search(r"url\(|@import", page)
    assert page.count("<article") == 8
    assert page.count('src="data:image/webp;base64,') == 7
    assert page.count('<audio controls preload="metadata" src="data:audio/wav;base64,') == 3


def test_the_page_of_a_sound_plays_the_query_and_the_beginning_of_a_long_one(cli, full, tmp_path):
    full.sound("long.wav", "red", seconds=40)
    search(cli, full.folder / "red.wav", "--in", full.folder, "-o", "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "The first 10 of 40 s." in page
    assert page.count("<audio") == 1 + 3
    assert len(page) < 1_000_000


def test_the_page_tells_of_files_that_cannot_be_shown(cli, world, tmp_path):
    cli("index", world.folder, "-o", "i.safetensors", "--binding", "colours")
    (world.folder / "a red.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    search(cli, "red", "--in", "i.safetensors", "-o", "p.html", binding="colours")
    assert "a red.png is no complete picture" in (tmp_path / "p.html").read_text()


def test_nothing_found_is_a_page_that_says_so(cli, world, tmp_path):
    for name in ("green.png", "deep/blue.png"):
        (world.folder / name).unlink()
    found = search(cli, world.folder / "a red.png", "--in", world.folder, "-o", "p.html", binding="colours")
    assert found["hits"] == []
    assert "Nothing was found" in (tmp_path / "p.html").read_text()


@pytest.mark.slow
def test_mini_finds_real_pictures_by_words_in_a_process_of_its_own(run_anybind, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in demo_pictures():
        if path.stem in ("chelsea", "rocket", "coffee"):
            shutil.copy(path, folder)
    page = tmp_path / "p.html"
    found = run_anybind("search", "a cat", "--in", folder, "--top", "2", "-o", page, "--json")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert (told["binding"], told["searched"]) == ("mini", {"image": 3})
    assert names(told, "image")[0] == "chelsea.png"
    assert page.read_text().count("<article") == 2


def test_the_functions_give_what_the_commands_print(cli, full, tmp_path):
    printed = json.loads(cli("index", full.folder, "-o", "a.safetensors", "--binding", "colours:sound", "--json").out)
    made = anybind_retrieval.build_index(tmp_path / "b.safetensors", full.folder, binding="colours:sound")
    assert (made.binding, made.space.name, dict(made.entries)) == (
        printed["binding"], printed["space"], printed["entries"],
    )  # fmt: skip
    assert vars(made.counts) == {name: printed[name] for name in vars(made.counts)}
    binding = ("--binding", "colours:sound")
    printed = json.loads(cli("search", "red", "--in", "a.safetensors", "--top", 2, *binding, "--json").out)
    found = anybind_retrieval.search("red", tmp_path / "b.safetensors", top_k=2, binding="colours:sound")
    assert found.gallery_sizes == printed["searched"]
    assert [(hit.modality, hit.rank, hit.cosine, hit.path) for hit in found.hits] == [
        (row["modality"], row["rank"], row["cosine"], row["file"]) for row in printed["hits"]
    ]


def test_a_folder_is_searched_by_a_binder(world):
    found = anybind_retrieval.search("green", world.folder, binding=anybind.load("colours"), top_k=1)
    assert [hit.path for hit in found.hits] == [str(world.folder / "green.png")]


def test_bad_files_are_reported_and_left_out(world):
    (world.folder / "bad.png").write_bytes(b"this is no picture")
    told = {}
    found = anybind_retrieval.search(
        "green", world.folder, binding="colours", on_bad=lambda id, error: told.update({id: error})
    )
    assert found.gallery_sizes == {"image": 3}
    assert list(told) == [str(world.folder / "bad.png")]
