"""`anybind search`: text and file queries, rankings by modality and mixed rankings, and the page."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

import anybind
import anybind_retrieval
from anybind_classification.demo_images import list_demo_images


def search(cli, *arguments, binding="colours:sound"):
    result = cli("search", *arguments, "--json", "--binding", binding)
    assert result.code == 0, result
    return json.loads(result.out)


def list_names(results, modality):
    return [hit["file"].rpartition("/")[2] for hit in results["hits"] if hit["modality"] == modality]


@pytest.fixture
def with_sounds(media):
    """Write three sounds beside the three images."""
    for colour in ("red", "green", "blue"):
        media.write_sound(f"{colour}.wav", colour)
    return media


def test_text_query_ranks_each_modality_separately(cli, with_sounds):
    results = search(cli, "something red", "--in", with_sounds.folder, "--top-k", "2")
    assert list_names(results, "image")[0] == "a red.png"
    assert list_names(results, "sound")[0] == "red.wav"
    assert [(hit["modality"], hit["rank"]) for hit in results["hits"]] == [
        ("image", 1), ("image", 2), ("sound", 1), ("sound", 2),
    ]  # fmt: skip
    assert results["gallery_sizes"] == {"image": 3, "sound": 3}
    cosines = [hit["cosine"] for hit in results["hits"]]
    assert cosines[0] > cosines[1]
    assert cosines[2] > cosines[3]
    expected = anybind.load("colours").embed("text", "something red") @ anybind.load("colours").embed(
        "image", [with_sounds.folder / "a red.png"]
    )
    assert cosines[0] == pytest.approx(float(expected[0, 0]), abs=1e-6)


def test_folder_file_and_database_have_equal_hits(cli, with_sounds):
    for location in ("i.safetensors", "i.lance"):
        assert cli("index", with_sounds.folder, "-o", location, "--binding", "colours:sound").code == 0
    galleries = (with_sounds.folder, "i.safetensors", "i.lance")
    hits = [search(cli, "green or blue", "--in", gallery)["hits"] for gallery in galleries]
    assert hits[0] == hits[1] == hits[2]
    assert len(hits[0]) == 6


def test_sound_query_finds_images_and_excludes_itself(cli, with_sounds):
    results = search(cli, with_sounds.folder / "blue.wav", "--in", with_sounds.folder)
    assert (results["modality"], results["embedded_as"]) == ("sound", "sound")
    assert list_names(results, "image")[0] == "blue.png"
    assert list_names(results, "sound") == ["green.wav", "red.wav"]


def test_modality_option_selects_modalities(cli, with_sounds):
    results = search(cli, "red", "--in", with_sounds.folder, "--modality", "sound")
    assert {hit["modality"] for hit in results["hits"]} == {"sound"}


def test_image_query_can_be_embedded_as_derived_events(cli, with_sounds):
    arguments = (with_sounds.folder / "a red.png", "--in", with_sounds.folder, "--as", "event")
    import PIL.Image

    PIL.Image.effect_noise((32, 32), 90).convert("RGB").save(with_sounds.folder / "a red.png")
    results = search(cli, *arguments, binding="colours:event")
    assert (results["modality"], results["embedded_as"]) == ("image", "event")


@pytest.fixture
def video_file(tmp_path):
    """Write a video of four frames of noise."""
    path = tmp_path / "video.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "gray"
        for frame in np.random.default_rng(0).integers(0, 256, (4, 24, 32), np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return path


def test_video_query_can_be_embedded_as_video_or_as_event(cli, media, video_file):
    searched = []
    for options in (("--as", "video"), ("--as", "event"), ()):
        results = search(cli, video_file, "--in", media.folder, *options, binding="colours:event")
        assert (results["modality"], results["embedded_as"]) == ("video", "event")
        searched.append(results["hits"])
    joint = search(cli, "--query-video", video_file, "--in", media.folder, binding="colours:event")
    assert searched == [joint["hits"]] * 3
    for options in ((video_file, "--as", "image"), ("--query-image", video_file)):
        error = cli("search", *options, "--in", media.folder, "--binding", "colours:event").error()
        assert f"{str(video_file)!r} is video, which cannot be embedded as image; expected event or video" in error


def test_default_binding_is_that_of_the_index(cli, media):
    cli("index", media.folder, "-o", "i.safetensors", "--binding", "colours")
    process = cli("search", "red", "--in", "i.safetensors", "--json")
    assert json.loads(process.out)["binding"] == "colours"


@pytest.mark.parametrize("name", ["other.toml", "open_clip:hf-hub:someone/something", "/etc/evil.toml"])
def test_index_card_cannot_name_files_or_models_to_load(cli, media, name):
    (media.folder.parent / "other.toml").write_text(
        f"name = '{name}'\nspace = 'colour'\n"
        "[encoders.image]\nuse = 'colour'\nmodality = 'image'\n[encoders.text]\nuse = 'colour'\nmodality = 'text'\n"
    )
    assert cli("index", media.folder, "-o", "i.safetensors", "--binding", "other.toml").code == 0
    error = cli("search", "red", "--in", "i.safetensors").error()
    assert f"built with the binding '{name}'; name it, or its file, with --binding" in error
    assert cli("search", "red", "--in", "i.safetensors", "--binding", "other.toml").code == 0


def test_folder_is_embedded_once(cli, media, tmp_path):
    before = search(cli, "red", "--in", media.folder, binding="colours")
    (cached,) = (tmp_path / "cache" / "anybind" / "search").iterdir()
    stamp = cached.stat().st_mtime_ns
    assert search(cli, "red", "--in", media.folder, binding="colours") == before
    assert cached.stat().st_mtime_ns == stamp
    media.write_image("new.png", "red")
    assert "new.png" in list_names(search(cli, "red", "--in", media.folder, binding="colours"), "image")


@pytest.mark.parametrize("damage", [b"", b"damage" * 50])
def test_damaged_cache_is_rebuilt(cli, media, tmp_path, damage):
    before = search(cli, "red", "--in", media.folder, binding="colours")
    (cached,) = (tmp_path / "cache" / "anybind" / "search").iterdir()
    cached.write_bytes(damage)
    assert search(cli, "red", "--in", media.folder, binding="colours") == before


def test_folder_is_embedded_again_by_another_encoder_of_the_same_binding_name(cli, media):
    search(cli, "red", "--in", media.folder, binding="colours")
    (media.folder.parent / "other.toml").write_text(
        "name = 'colours'\nspace = 'colour'\n[encoders.text]\nuse = 'colour'\nmodality = 'text'\n"
        "[encoders.image]\nuse = 'colour'\nmodality = 'image'\nweights = '111111111111'\n"
    )
    assert list_names(search(cli, "red", "--in", media.folder, binding="other.toml"), "image")[0] == "a red.png"


def test_missing_and_changed_files_are_reported(cli, media):
    cli("index", media.folder, "-o", "i.safetensors", "--binding", "colours")
    (media.folder / "a red.png").unlink()
    media.write_image("green.png", "yellow", mtime=1_700_000_000_000_000_000)
    results = search(cli, "red", "--in", "i.safetensors", "-o", "p.html", binding="colours")
    assert [hit["state"] for hit in results["hits"]] == ["missing", "unchanged", "changed"]
    process = cli("search", "red", "--in", "i.safetensors")
    assert ", in files" in process.out
    assert " a red.png (missing)" in process.out
    page = (media.folder.parent / "p.html").read_text()
    assert "The file no longer exists." in page
    assert "The file was changed after it was indexed." in page


def test_skip_invalid_skips_and_reports_files(cli, media):
    (media.folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    assert "bad.png" in cli("search", "red", "--in", media.folder, "--binding", "colours").error()
    results = search(cli, "red", "--in", media.folder, "--skip-invalid", binding="colours")
    assert len(results["hits"]) == 3
    assert list(results["skipped"]) == [str(media.folder / "bad.png")]


def test_table_has_paths_relative_to_the_common_folder(cli, media):
    process = cli("search", "blue", "--in", media.folder, "--binding", "colours", "--top-k", "3")
    assert ", in files" in process.out
    assert " deep/blue.png" in process.out
    assert str(media.folder) not in process.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dogg.png", "--in", "{d}"], "there is no file dogg.png; check the path, or search for it as a text"),
        (["  ", "--in", "{d}"], "the query is empty"),
        (["red", "--in", "{d}/absent"], "there is no folder and no index"),
        (["red", "--in", "absent.safetensors"], "there is no folder and no index absent.safetensors"),
        (["red", "--in", "absent.lance"], "there is no index absent.lance"),
        (["red", "--in", "{d}/green.png"], "green.png"),
        (["red", "--in", "{d}", "--modality", "sound"], "embeds no sound"),
        (["red", "--in", "{d}", "--as", "imag"], "embeds no imag; did you mean 'image'"),
        (["red", "--in", "{d}", "--approximate"], "--approximate needs an index that ends in .lance"),
        (["red", "--in", "{d}", "--mixed", "--rerank", "query-expansion"], "--mixed excludes --rerank"),
        (["red", "--in", "{d}", "-o", "absent/p.html"], "there is no folder"),
        (["{d}/tone.wav", "--in", "{d}"], "is sound, which the binding does not embed"),
        (["{d}", "--in", "{d}"], "is a folder; give a file"),
    ],
)
def test_invalid_request_is_one_error_line(cli, media, arguments, message):
    media.write_sound("tone.wav", "red")
    command = [argument.format(d=media.folder) for argument in arguments]
    assert message in cli("search", *command, "--binding", "colours").error()


def test_text_with_a_known_suffix_can_be_searched_for(cli, media):
    results = search(cli, "red.png", "--in", media.folder, "--as", "text", binding="colours")
    assert (results["modality"], list_names(results, "image")[0]) == ("text", "a red.png")


def test_very_long_text_is_a_text_query(cli, media):
    assert search(cli, "red " * 2000, "--in", media.folder, binding="colours")["modality"] == "text"


def test_page_is_self_contained_and_escapes_text(cli, with_sounds, tmp_path):
    with_sounds.write_image("<b>&\"'.png", "red")
    (tmp_path / "captions.txt").write_text("red <script>alert('text')</script>\n")
    index = ("index", with_sounds.folder, "--texts", tmp_path / "captions.txt", "-o", "i.safetensors")
    assert cli(*index, "--binding", "colours:sound").code == 0
    query = "red <script>alert('query')</script> </title>"
    search(cli, query, "--in", "i.safetensors", "-o", "p.html", "--top-k", "4")
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


def test_page_of_a_sound_query_embeds_audio_and_excerpts(cli, with_sounds, tmp_path):
    with_sounds.write_sound("long.wav", "red", seconds=40)
    search(cli, with_sounds.folder / "red.wav", "--in", with_sounds.folder, "-o", "p.html", "--window", "whole")
    page = (tmp_path / "p.html").read_text()
    assert "The first 10 of 40 s." in page
    assert page.count("<audio") == 1 + 3
    assert len(page) < 1_000_000


def test_page_shows_why_a_file_cannot_be_shown(cli, media, tmp_path):
    cli("index", media.folder, "-o", "i.safetensors", "--binding", "colours")
    (media.folder / "a red.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing")
    search(cli, "red", "--in", "i.safetensors", "-o", "p.html", binding="colours")
    assert re.search(r'<div class="note">\S*a red\.png', (tmp_path / "p.html").read_text())


def test_page_without_hits(cli, media, tmp_path):
    for name in ("green.png", "deep/blue.png"):
        (media.folder / name).unlink()
    results = search(cli, media.folder / "a red.png", "--in", media.folder, "-o", "p.html", binding="colours")
    assert results["hits"] == []
    assert "There are no other files" in (tmp_path / "p.html").read_text()


@pytest.mark.slow
def test_mini_finds_real_images_by_text_in_a_new_process(run_anybind, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for path in list_demo_images():
        if path.stem in ("chelsea", "rocket", "coffee"):
            shutil.copy(path, folder)
    page = tmp_path / "p.html"
    process = run_anybind("search", "a cat", "--in", folder, "--top-k", "2", "-o", page, "--json")
    assert process.returncode == 0, process.stderr
    results = json.loads(process.stdout)
    assert (results["binding"], results["gallery_sizes"]) == ("mini", {"image": 3})
    assert list_names(results, "image")[0] == "chelsea.jpg"
    assert page.read_text().count("<article") == 2


def test_functions_return_what_the_commands_print(cli, with_sounds, tmp_path):
    printed = json.loads(
        cli("index", with_sounds.folder, "-o", "a.safetensors", "--binding", "colours:sound", "--json").out
    )
    report = anybind_retrieval.build_index(tmp_path / "b.safetensors", with_sounds.folder, binding="colours:sound")
    values = (report.binding, report.space.name, dict(report.entries))
    assert values == (printed["binding"], printed["space"], printed["entries"])
    assert vars(report.counts) == {name: printed[name] for name in vars(report.counts)}
    binding = ("--binding", "colours:sound")
    printed = json.loads(cli("search", "red", "--in", "a.safetensors", "--top-k", 2, *binding, "--json").out)
    results = anybind_retrieval.search("red", tmp_path / "b.safetensors", top_k=2, binding="colours:sound")
    assert results.gallery_sizes == printed["gallery_sizes"]
    assert [(hit.modality, hit.rank, hit.cosine, hit.path) for hit in results.hits] == [
        (row["modality"], row["rank"], row["cosine"], row["file"]) for row in printed["hits"]
    ]


def test_folder_is_searched_with_a_binder(media):
    results = anybind_retrieval.search("green", media.folder, binding=anybind.load("colours"), top_k=1)
    assert [hit.path for hit in results.hits] == [str(media.folder / "green.png")]


def test_invalid_files_are_reported_and_skipped(media):
    (media.folder / "bad.png").write_bytes(b"not an image")
    errors = {}
    results = anybind_retrieval.search(
        "green", media.folder, binding="colours", on_bad=lambda id, error: errors.update({id: error})
    )
    assert results.gallery_sizes == {"image": 3}
    assert list(errors) == [str(media.folder / "bad.png")]


def test_path_object_is_a_file_query(media):
    options = {"gallery": media.folder, "binding": anybind.load("colours"), "modalities": "image"}
    path = media.folder / "green.png"
    assert anybind_retrieval.search(path, **options).hits == anybind_retrieval.search(str(path), **options).hits
    joint = anybind_retrieval.search({"image": path, "text": "green"}, weights={"text": np.float32(2)}, **options)
    same = anybind_retrieval.search({"image": [str(path)], "text": "green"}, weights={"text": 2}, **options)
    assert joint.hits == same.hits
    with pytest.raises(anybind.BadInput, match="there is no file absent"):
        anybind_retrieval.search(Path("absent"), **options)


@pytest.mark.parametrize("query", [None, 3, np.zeros((9, 9, 3), np.uint8), {"image": np.zeros((9, 9, 3), np.uint8)}])
def test_sample_in_memory_is_no_query(media, query):
    with pytest.raises(anybind.BadInput, match="expected a text or the path of a file to search for, got a"):
        anybind_retrieval.search(query, media.folder, binding="colours")


@pytest.mark.parametrize("top_k", [0, -1, 1.5, True])
def test_number_of_hits_is_at_least_1(media, top_k):
    with pytest.raises(anybind.plugin.BadOption, match="top_k: expected an integer above 0"):
        anybind_retrieval.search("green", media.folder, binding="colours", top_k=top_k)
