"""`anybind index`: entries, incremental updates, interrupted runs, and errors."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest

import anybind
from anybind_retrieval.indexing import open_index

OLD_NS = 1_700_000_000_000_000_000


def index(cli, location, *arguments, binding="colours"):
    process = cli("index", *arguments, "-o", location, "--binding", binding, "--no-store", "--json")
    assert process.code == 0, process
    return json.loads(process.out)


def list_names(location, modality="image"):
    return sorted(os.path.relpath(entry.path) for entry in open_index(str(location)).list_entries(modality))


def list_counts(report):
    return [report[name] for name in ("added", "changed", "unchanged", "removed")]


@pytest.mark.slow
def test_files_of_every_modality_are_embedded(cli, media, location):
    media.write_sound("low.wav", "red")
    report = index(cli, location, media.folder, binding="colours:sound")
    assert report["entries"] == {"image": 3, "sound": 1}
    assert list_counts(report) == [4, 0, 0, 0]
    assert list_names(location) == ["files/a red.png", "files/deep/blue.png", "files/green.png"]
    assert list_names(location, "sound") == ["files/low.wav"]
    stored = open_index(str(location))
    assert (stored.card.binding, stored.card.space) == ("colours", anybind.Space("colour", 3))


def test_vectors_equal_those_of_the_binder(cli, media, location):
    index(cli, location, media.folder)
    stored = open_index(str(location))
    entries, vectors = stored.find_candidates("image", np.array([1, 0, 0], np.float32), 3)
    expected = anybind.load("colours").embed("image", [entry.path for entry in entries])
    np.testing.assert_allclose(vectors, expected.vectors, atol=1e-6)


def test_lines_of_a_text_file_are_entries(cli, media, location, tmp_path):
    (tmp_path / "captions.txt").write_text("a red car\n\n  a blue car \na red car\n")
    (tmp_path / "more.txt").write_text("a red car\n")
    report = index(cli, location, media.folder, "--texts", tmp_path / "captions.txt", "--texts", tmp_path / "more.txt")
    assert report["entries"] == {"image": 3, "text": 3}
    texts = sorted(entry.text for entry in open_index(str(location)).list_entries("text"))
    assert texts == ["a blue car", "a red car", "a red car"]
    (tmp_path / "captions.txt").write_text("a blue car\na green car\n")
    os.utime(tmp_path / "captions.txt", ns=(OLD_NS, OLD_NS))
    assert list_counts(index(cli, location, "--texts", tmp_path / "captions.txt")) == [1, 1, 0, 1]


def test_second_run_embeds_only_new_and_changed_files(cli, media, location, embedded_colours):
    index(cli, location, media.folder)
    assert sorted(embedded_colours) == ["blue", "green", "red"]
    embedded_colours.clear()
    assert list_counts(index(cli, location, media.folder)) == [0, 0, 3, 0]
    assert embedded_colours == []
    media.write_image("green.png", "yellow", mtime=OLD_NS)
    media.write_image("new.png", "blue")
    (media.folder / "a red.png").unlink()
    assert list_counts(index(cli, location, media.folder)) == [1, 1, 1, 1]
    assert sorted(embedded_colours) == ["blue", "yellow"]
    assert list_names(location) == ["files/deep/blue.png", "files/green.png", "files/new.png"]
    results = json.loads(cli("search", "a red and green thing", "--in", location, "--top-k", "1", "--json").out)
    assert results["hits"][0]["file"].endswith("green.png")


def test_updated_index_equals_a_rebuilt_one(cli, media, tmp_path):
    index(cli, tmp_path / "a.safetensors", media.folder)
    media.write_image("green.png", "yellow", mtime=OLD_NS)
    media.write_image("0.png", "yellow", mtime=OLD_NS)
    (media.folder / "deep/blue.png").unlink()
    index(cli, tmp_path / "a.safetensors", media.folder)
    index(cli, tmp_path / "b.safetensors", media.folder)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_entries_of_other_folders_and_modalities_stay(cli, media, location, tmp_path):
    media.write_sound("low.wav", "red")
    index(cli, location, media.folder, binding="colours:sound")
    other = type(media)(tmp_path / "files2")
    other.folder.mkdir()
    other.write_image("red.png", "red")
    (media.folder / "low.wav").unlink()
    (media.folder / "green.png").unlink()
    report = index(cli, location, other.folder, binding="colours:sound")
    assert (report["entries"], list_counts(report)) == ({"image": 4, "sound": 1}, [1, 0, 0, 0])
    report = index(cli, location, media.folder, "--modality", "image", binding="colours:sound")
    assert (report["entries"], list_counts(report)) == ({"image": 3, "sound": 1}, [0, 0, 2, 1])


def test_rebuild_drops_all_entries(cli, media, location):
    index(cli, location, media.folder)
    assert list_counts(index(cli, location, media.folder / "deep", "--rebuild")) == [1, 0, 0, 0]
    assert list_names(location) == ["files/deep/blue.png"]


def test_video_is_indexed_as_derived_events(cli, media, location):
    import av

    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    with av.open(str(media.folder / "clip.mp4"), "w") as video:
        stream = video.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        video.mux(stream.encode())
    report = index(cli, location, media.folder, binding="colours:event")
    assert report["entries"] == {"image": 3, "video": 1}
    assert open_index(str(location)).card.encoders["video"].modality == "event"


def test_invalid_file_stops_the_run_and_keeps_the_index(cli, media, location):
    index(cli, location, media.folder)
    before = list_names(location)
    (media.folder / "deep" / "bad.png").write_bytes((media.folder / "green.png").read_bytes()[:40])
    error = cli("index", media.folder, "-o", location, "--binding", "colours").error()
    assert "bad.png" in error
    assert list_names(location) == before
    report = index(cli, location, media.folder, "--skip-invalid")
    assert list_counts(report) == [0, 0, 3, 0]
    assert list(report["skipped"]) == [str(media.folder / "deep" / "bad.png")]


@pytest.mark.parametrize("rebuild", [(), ("--rebuild",)])
def test_interrupted_run_keeps_the_index(cli, media, location, monkeypatch, rebuild):
    index(cli, location, media.folder)
    embed = anybind.Binder.embed_batches

    def interrupt(self, modality, items, **options):
        for number, batch in enumerate(embed(self, modality, items, **options)):
            if number:
                raise anybind.BadInput("interrupted")
            yield batch

    media.write_image("green.png", "yellow", mtime=OLD_NS)
    media.write_image("new.png", "red")
    with monkeypatch.context() as patch:
        patch.setattr(anybind.Binder, "embed_batches", interrupt)
        arguments = ("index", media.folder, "-o", location, "--binding", "colours", "--batch-size", "1", *rebuild)
        assert "interrupted" in cli(*arguments).error()
    assert {"files/a red.png", "files/deep/blue.png", "files/green.png"} <= set(list_names(location))
    index(cli, location, media.folder)
    assert len(list_names(location)) == 4


def test_first_run_into_a_database_resumes_after_an_interruption(cli, media, tmp_path, monkeypatch):
    monkeypatch.setattr("anybind_retrieval.lance_index.WRITE_ROWS", 1)
    media.write_image("z.png", "red").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    location = tmp_path / "i.lance"
    arguments = ("index", media.folder, "-o", location, "--binding", "colours", "--batch-size", "1")
    assert "z.png" in cli(*arguments).error()
    media.write_image("z.png", "red")
    assert list_counts(index(cli, location, media.folder)) == [1, 0, 3, 0]


OTHERS = {
    "encoder": ('use = "colour"\nmodality = "image"', 'use = "colour"\nmodality = "image"\nweights = "111111111111"'),
    "space": ("colour", "color"),
}


@pytest.mark.parametrize("command", ["index", "search"])
@pytest.mark.parametrize("other", OTHERS)
def test_another_encoder_or_space_is_refused_with_a_remedy(cli, media, location, tmp_path, command, other):
    index(cli, location, media.folder)
    text = 'name = "colours"\nspace = "colour"\n' + "".join(
        f'[encoders.{modality}]\nuse = "colour"\nmodality = "{modality}"\n' for modality in ("text", "image")
    )
    if other == "encoder":
        text = text.replace(*OTHERS["encoder"])
    else:
        text = text.replace('space = "colour"', 'space = "color"').replace(
            'use = "colour"', 'use = "colour"\nspace = "color"'
        )
    (tmp_path / "other.toml").write_text(text)
    rest = (media.folder, "-o", location) if command == "index" else ("red", "--in", location)
    error = cli(command, *rest, "--binding", "other.toml").error()
    assert f"{location} was built with the binding 'colours'" in error
    assert f"rebuild it with anybind index DIR -o {location} --rebuild" in error
    assert list_counts(index(cli, location, media.folder, "--rebuild", binding="other.toml")) == [3, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{d}", "-o", "i.npz"], "a file that ends in .safetensors, or a folder or URI that ends in .lance"),
        (["{d}"], "a file that ends in .safetensors, or a folder or URI that ends in .lance"),
        (["{d}", "-o", "absent/i.safetensors"], "there is no folder"),
        (["{d}", "-o", "absent/i.lance"], "there is no folder"),
        (["{d}/absent", "-o", "i.safetensors"], "No such file"),
        (["-o", "i.safetensors"], "nothing to write"),
        (["{d}", "-o", "i.safetensors", "--modality", "imgae"], "embeds no imgae; did you mean 'image'"),
        (["{d}", "-o", "i.safetensors", "--modality", "sound"], "embeds no sound"),
        (["{d}", "-o", "i.safetensors", "--texts", "{d}/green.png"], "as UTF-8 text"),
        (["{d}/tone.wav", "-o", "i.safetensors"], "expected a file of text, image, got sound"),
    ],
)
def test_invalid_request_is_one_error_line_and_writes_no_file(cli, media, tmp_path, arguments, message):
    media.write_sound("tone.wav", "red")
    command = [argument.format(d=media.folder) for argument in arguments]
    assert message in cli("index", *command, "--binding", "colours").error()
    assert not list(tmp_path.glob("i.*"))


def rewrite_header(path, change):
    """Change the header of a safetensors file."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def change_card(header, change):
    card = json.loads(header["__metadata__"]["anybind-index"])
    change(card)
    header["__metadata__"]["anybind-index"] = json.dumps(card)


DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "not safetensors": lambda path: path.write_bytes(b"hello" * 100),
    "no list of files": lambda path: rewrite_header(path, lambda h: h.pop("image.files")),
    "another dtype": lambda path: rewrite_header(path, lambda h: h["image.sizes"].update(dtype="F64")),
    "a later version": lambda path: rewrite_header(path, lambda h: change_card(h, lambda c: c.update(version=9))),
    "no space": lambda path: rewrite_header(path, lambda h: change_card(h, lambda c: c.pop("space"))),
    "other dimensions": lambda path: rewrite_header(path, lambda h: change_card(h, lambda c: c["space"].update(dim=4))),
    "invalid encoders": lambda path: rewrite_header(path, lambda h: change_card(h, lambda c: c.update(shelves=[1]))),
    "no card": lambda path: rewrite_header(path, lambda h: h.pop("__metadata__")),
    "invalid list of files": lambda path: path.write_bytes(path.read_bytes().replace(b'[["', b'[{"')),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_one_error_line(cli, media, tmp_path, damage):
    location = tmp_path / "i.safetensors"
    index(cli, location, media.folder)
    DAMAGE[damage](location)
    for arguments in (("search", "red", "--in", location), ("index", media.folder, "-o", location)):
        error = cli(*arguments, "--binding", "colours").error()
        assert "i.safetensors" in error
        assert "anybind index" in error
    index(cli, location, media.folder, "--rebuild")
    assert len(list_names(location)) == 3


def test_damaged_database_is_one_error_line(cli, media, tmp_path):
    location = tmp_path / "i.lance"
    index(cli, location, media.folder)
    for table in location.glob("files-*"):
        for version in (table / "_versions").iterdir():
            version.write_bytes(b"damage")
    error = cli("search", "red", "--in", location, "--binding", "colours").error()
    assert "i.lance is not a readable index" in error


def test_database_with_embedding_functions_is_refused(cli, media, tmp_path):
    """LanceDB creates the embedding functions that a table's metadata names."""
    import lancedb

    location = tmp_path / "i.lance"
    index(cli, location, media.folder)
    database = lancedb.connect(location)
    row = database.open_table("card").to_arrow().to_pylist()[0]
    rows = database.open_table(row["table"]).to_arrow()
    changed = rows.replace_schema_metadata({"embedding_functions": '[{"name": "openai"}]'})
    database.create_table(row["table"], changed, mode="overwrite")
    assert "unexpected columns" in cli("search", "red", "--in", location, "--binding", "colours").error()


def test_missing_lancedb_is_an_error_with_its_pip_line(cli, media, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lancedb", None)
    error = cli("index", media.folder, "-o", "i.lance", "--binding", "colours").error()
    assert "pip install 'anybind[search]'" in error


def test_file_names_with_quotes_and_unicode_are_added_and_removed(cli, media, location):
    media.write_image('it\'s "häßlich" ☂.png', "red")
    assert list_counts(index(cli, location, media.folder)) == [4, 0, 0, 0]
    (media.folder / 'it\'s "häßlich" ☂.png').unlink()
    assert list_counts(index(cli, location, media.folder)) == [0, 0, 3, 1]
    assert len(list_names(location)) == 3


def test_names_that_are_not_utf8_are_valid_in_files_and_refused_by_databases(cli, media, tmp_path):
    media.write_image("x.png", "red").rename(media.folder / os.fsdecode(b"\xff.png"))
    assert list_counts(index(cli, tmp_path / "i.safetensors", media.folder)) == [4, 0, 0, 0]
    assert list_counts(index(cli, tmp_path / "i.safetensors", media.folder)) == [0, 0, 4, 0]
    assert "only names that are UTF-8" in cli("index", media.folder, "-o", "i.lance", "--binding", "colours").error()
