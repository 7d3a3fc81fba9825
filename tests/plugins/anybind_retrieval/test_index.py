"""`anybind index`: what goes in, what a second run embeds anew, and what is refused."""

from __future__ import annotations

import json
import os
import struct

import numpy as np
import pytest

import anybind
from anybind_retrieval.indexing import open_index

# What the conftest of this folder makes: `world` (red, green and blue pictures) and `place` (a file, a database).
OLD = 1_700_000_000_000_000_000


def index(cli, place, *arguments, binding="colours"):
    ended = cli("index", *arguments, "-o", place, "--binding", binding, "--no-store", "--json")
    assert ended.code == 0, ended
    return json.loads(ended.out)


def names(place, kind="image"):
    return sorted(os.path.relpath(entry.path) for entry in open_index(str(place)).list_entries(kind))


def counts(told):
    return [told[name] for name in ("added", "changed", "unchanged", "removed")]


@pytest.mark.slow
def test_files_of_every_modality_are_embedded(cli, world, place):
    world.sound("low.wav", "red")
    told = index(cli, place, world.folder, binding="colours:sound")
    assert told["entries"] == {"image": 3, "sound": 1}
    assert counts(told) == [4, 0, 0, 0]
    assert names(place) == ["files/a red.png", "files/deep/blue.png", "files/green.png"]
    assert names(place, "sound") == ["files/low.wav"]
    held = open_index(str(place))
    assert (held.card.binding, held.card.space) == ("colours", anybind.Space("colour", 3))


def test_vectors_are_those_that_the_binder_gives(cli, world, place):
    index(cli, place, world.folder)
    held = open_index(str(place))
    entries, vectors = held.find_candidates("image", np.array([1, 0, 0], np.float32), 3)
    expected = anybind.load("colours").embed("image", [entry.path for entry in entries])
    np.testing.assert_allclose(vectors, expected.vectors, atol=1e-6)


def test_lines_of_a_file_of_texts_are_entries(cli, world, place, tmp_path):
    (tmp_path / "words.txt").write_text("a red car\n\n  a blue car \na red car\n")
    (tmp_path / "more.txt").write_text("a red car\n")
    told = index(cli, place, world.folder, "--texts", tmp_path / "words.txt", "--texts", tmp_path / "more.txt")
    assert told["entries"] == {"image": 3, "text": 3}
    assert sorted(entry.text for entry in open_index(str(place)).list_entries("text")) == [
        "a blue car",
        "a red car",
        "a red car",
    ]
    (tmp_path / "words.txt").write_text("a blue car\na green car\n")
    os.utime(tmp_path / "words.txt", ns=(OLD, OLD))
    assert counts(index(cli, place, "--texts", tmp_path / "words.txt")) == [1, 1, 0, 1]


def test_a_second_run_embeds_only_what_is_new_or_changed(cli, world, place, embedded):
    index(cli, place, world.folder)
    assert sorted(embedded) == ["blue", "green", "red"]
    embedded.clear()
    assert counts(index(cli, place, world.folder)) == [0, 0, 3, 0]
    assert embedded == []
    world.picture("green.png", "yellow", mtime=OLD)
    world.picture("new.png", "blue")
    (world.folder / "a red.png").unlink()
    assert counts(index(cli, place, world.folder)) == [1, 1, 1, 1]
    assert sorted(embedded) == ["blue", "yellow"]
    assert names(place) == ["files/deep/blue.png", "files/green.png", "files/new.png"]
    found = json.loads(cli("search", "a red and green thing", "--in", place, "--top", "1", "--json").out)
    assert found["hits"][0]["file"].endswith("green.png")


def test_an_index_brought_up_to_date_equals_one_made_anew(cli, world, tmp_path):
    index(cli, tmp_path / "a.safetensors", world.folder)
    world.picture("green.png", "yellow", mtime=OLD)
    world.picture("0.png", "yellow", mtime=OLD)
    (world.folder / "deep/blue.png").unlink()
    index(cli, tmp_path / "a.safetensors", world.folder)
    index(cli, tmp_path / "b.safetensors", world.folder)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_other_folders_and_other_modalities_stay(cli, world, place, tmp_path):
    world.sound("low.wav", "red")
    index(cli, place, world.folder, binding="colours:sound")
    other = type(world)(tmp_path / "files2")
    other.folder.mkdir()
    other.picture("red.png", "red")
    (world.folder / "low.wav").unlink()
    (world.folder / "green.png").unlink()
    told = index(cli, place, other.folder, binding="colours:sound")
    assert (told["entries"], counts(told)) == ({"image": 4, "sound": 1}, [1, 0, 0, 0])
    told = index(cli, place, world.folder, "--modality", "image", binding="colours:sound")
    assert (told["entries"], counts(told)) == ({"image": 3, "sound": 1}, [0, 0, 2, 1])


def test_rebuild_starts_from_nothing(cli, world, place):
    index(cli, place, world.folder)
    assert counts(index(cli, place, world.folder / "deep", "--rebuild")) == [1, 0, 0, 0]
    assert names(place) == ["files/deep/blue.png"]


def test_a_film_is_indexed_as_the_recording_made_of_it(cli, world, place):
    import av

    frames = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), dtype=np.uint8)
    with av.open(str(world.folder / "film.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in frames:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode())
    told = index(cli, place, world.folder, binding="colours:event")
    assert told["entries"] == {"image": 3, "video": 1}
    assert open_index(str(place)).card.shelves["video"].modality == "event"


def test_one_bad_file_stops_the_run_and_keeps_what_was_there(cli, world, place):
    index(cli, place, world.folder)
    before = names(place)
    (world.folder / "deep" / "bad.png").write_bytes((world.folder / "green.png").read_bytes()[:40])
    error = cli("index", world.folder, "-o", place, "--binding", "colours").error()
    assert "bad.png is no complete picture" in error
    assert names(place) == before
    told = index(cli, place, world.folder, "--skip-bad")
    assert counts(told) == [0, 0, 3, 0]
    assert list(told["skipped"]) == [str(world.folder / "deep" / "bad.png")]


@pytest.mark.parametrize("rebuild", [(), ("--rebuild",)])
def test_a_run_that_is_interrupted_keeps_what_was_there(cli, world, place, monkeypatch, rebuild):
    index(cli, place, world.folder)
    embed = anybind.Binder.embed_batches

    def interrupted(self, of, items, **options):
        for number, batch in enumerate(embed(self, of, items, **options)):
            if number:
                raise anybind.BadInput("the power is gone")
            yield batch

    world.picture("green.png", "yellow", mtime=OLD)
    world.picture("new.png", "red")
    with monkeypatch.context() as patch:
        patch.setattr(anybind.Binder, "embed_batches", interrupted)
        arguments = ("index", world.folder, "-o", place, "--binding", "colours", "--batch-size", "1", *rebuild)
        assert "the power is gone" in cli(*arguments).error()
    assert {"files/a red.png", "files/deep/blue.png", "files/green.png"} <= set(names(place))
    index(cli, place, world.folder)
    assert len(names(place)) == 4


def test_a_first_run_into_a_database_goes_on_where_it_was_interrupted(cli, world, tmp_path, monkeypatch):
    monkeypatch.setattr("anybind_retrieval.lance_index.BLOCK", 1)
    world.picture("z.png", "red").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    place = tmp_path / "i.lance"
    arguments = ("index", world.folder, "-o", place, "--binding", "colours", "--batch-size", "1")
    assert "z.png" in cli(*arguments).error()
    world.picture("z.png", "red")
    assert counts(index(cli, place, world.folder)) == [1, 0, 3, 0]


OTHERS = {
    "encoder": ('use = "colour"\nmodality = "image"', 'use = "colour"\nmodality = "image"\nweights = "111111111111"'),
    "space": ("colour", "color"),
}


@pytest.mark.parametrize("command", ["index", "search"])
@pytest.mark.parametrize("other", OTHERS)
def test_another_encoder_or_space_is_refused_with_what_to_do(cli, world, place, tmp_path, command, other):
    index(cli, place, world.folder)
    text = 'name = "colours"\nspace = "colour"\n' + "".join(
        f'[encoders.{of}]\nuse = "colour"\nmodality = "{of}"\n' for of in ("text", "image")
    )
    if other == "encoder":
        text = text.replace(*OTHERS["encoder"])
    else:
        text = text.replace('space = "colour"', 'space = "color"').replace(
            'use = "colour"', 'use = "colour"\nspace = "color"'
        )
    (tmp_path / "other.toml").write_text(text)
    rest = (world.folder, "-o", place) if command == "index" else ("red", "--in", place)
    error = cli(command, *rest, "--binding", "other.toml").error()
    assert f"{place} was made with the binding 'colours'" in error
    assert f"make it anew: anybind index DIR -o {place} --rebuild" in error
    assert counts(index(cli, place, world.folder, "--rebuild", binding="other.toml")) == [3, 0, 0, 0]


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
        (["{d}/tone.wav", "-o", "i.safetensors"], "holds sound; what was asked for is text, image"),
    ],
)
def test_a_bad_request_is_one_line_and_leaves_nothing(cli, world, tmp_path, arguments, message):
    world.sound("tone.wav", "red")
    command = [argument.format(d=world.folder) for argument in arguments]
    assert message in cli("index", *command, "--binding", "colours").error()
    assert not list(tmp_path.glob("i.*"))


def damage_header(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    return data, header, length


def rewrite(path, change):
    """The file with its header changed: the same length, so that everything stays at its place."""
    data, header, length = damage_header(path)
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def card(header, change):
    made = json.loads(header["__metadata__"]["anybind-index"])
    change(made)
    header["__metadata__"]["anybind-index"] = json.dumps(made)


DAMAGE = {
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "no safetensors": lambda path: path.write_bytes(b"hello" * 100),
    "a folder of files": lambda path: rewrite(path, lambda h: h.pop("image.files")),
    "another dtype": lambda path: rewrite(path, lambda h: h["image.sizes"].update(dtype="F64")),
    "a later version": lambda path: rewrite(path, lambda h: card(h, lambda c: c.update(version=9))),
    "no space": lambda path: rewrite(path, lambda h: card(h, lambda c: c.pop("space"))),
    "other dimensions": lambda path: rewrite(path, lambda h: card(h, lambda c: c["space"].update(dim=4))),
    "shelves of nothing": lambda path: rewrite(path, lambda h: card(h, lambda c: c.update(shelves=[1]))),
    "no card": lambda path: rewrite(path, lambda h: h.pop("__metadata__")),
    "garbage for a list": lambda path: path.write_bytes(path.read_bytes().replace(b'[["', b'[{"')),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_one_clear_line(cli, world, tmp_path, damage):
    place = tmp_path / "i.safetensors"
    index(cli, place, world.folder)
    DAMAGE[damage](place)
    for arguments in (("search", "red", "--in", place), ("index", world.folder, "-o", place)):
        error = cli(*arguments, "--binding", "colours").error()
        assert "i.safetensors" in error
        assert "anybind index" in error
    index(cli, place, world.folder, "--rebuild")
    assert len(names(place)) == 3


def test_a_damaged_database_is_one_clear_line(cli, world, tmp_path):
    place = tmp_path / "i.lance"
    index(cli, place, world.folder)
    for table in place.glob("files-*"):
        for version in (table / "_versions").iterdir():
            version.write_bytes(b"damage")
    error = cli("search", "red", "--in", place, "--binding", "colours").error()
    assert "i.lance is no index that can be read" in error


def test_a_database_that_names_functions_to_make_is_refused(cli, world, tmp_path):
    """LanceDB makes the embedding functions that a table's metadata names."""
    import lancedb

    place = tmp_path / "i.lance"
    index(cli, place, world.folder)
    database = lancedb.connect(place)
    row = database.open_table("card").to_arrow().to_pylist()[0]
    rows = database.open_table(row["table"]).to_arrow()
    meant = rows.replace_schema_metadata({"embedding_functions": '[{"name": "openai"}]'})
    database.create_table(row["table"], meant, mode="overwrite")
    assert "other columns" in cli("search", "red", "--in", place, "--binding", "colours").error()


def test_a_missing_lancedb_is_told_with_its_pip_line(cli, world, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lancedb", None)
    error = cli("index", world.folder, "-o", "i.lance", "--binding", "colours").error()
    assert "pip install 'anybind[search]'" in error


def test_file_names_with_quotes_and_other_letters_go_in_and_out(cli, world, place):
    world.picture('it\'s "häßlich" ☂.png', "red")
    assert counts(index(cli, place, world.folder)) == [4, 0, 0, 0]
    (world.folder / 'it\'s "häßlich" ☂.png').unlink()
    assert counts(index(cli, place, world.folder)) == [0, 0, 3, 1]
    assert len(names(place)) == 3


def test_names_that_are_no_utf8_are_kept_in_files_and_told_of_databases(cli, world, tmp_path):
    world.picture("x.png", "red").rename(world.folder / os.fsdecode(b"\xff.png"))
    assert counts(index(cli, tmp_path / "i.safetensors", world.folder)) == [4, 0, 0, 0]
    assert counts(index(cli, tmp_path / "i.safetensors", world.folder)) == [0, 0, 4, 0]
    assert "only names that are UTF-8" in cli("index", world.folder, "-o", "i.lance", "--binding", "colours").error()
