"""Packs that name what a pack may not have are refused before any of it is opened."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest

import anybind
from anybind.errors import AnybindError, BadInput, UnknownName, WeightsMismatch
from anybind_packs.card import describe_files
from helpers.packs import change_card


class Bomb:
    """An object whose unpickling creates a file."""

    def __reduce__(self) -> Any:
        return os.mkdir, (str(Path(__file__).with_name("unpickled")),)


def refuse(folder: Path, kind: type[AnybindError] = BadInput) -> str:
    """Return the error of loading a pack, one line."""
    with pytest.raises(kind) as caught:
        anybind.load(f"pack:{folder}").encoder("event")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def add_file(name: str) -> Any:
    file = {"size": 3, "sha256": "ab" * 32}
    return lambda card: card["files"].update({name: file})


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.json", "a/b.json", "model.pkl", "model.bin", "code.py", ".x.json", "pack.json"]
)
def test_files_outside_the_folder_or_of_other_kinds_are_refused(own_pack: Path, name: str) -> None:
    change_card(own_pack, add_file(name))
    assert "files: expected names such as" in refuse(own_pack)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trust_remote_code": True}, "runs no code of others"),
        ({"options": {"trust_remote_code": True}}, "runs no code of others"),
        ({"model": "/home/user/model"}, "a pack holds no paths"),
        ({"weights2": "~/x"}, "a pack holds no paths"),
        ({"model": "local-dir:x"}, "a pack holds no paths"),
        ({"model": "org/../../x"}, "a pack holds no paths"),
        ({"model": "https://host/x"}, "a pack holds no paths"),
        ({"nested": [["./x"]]}, "a pack holds no paths"),
    ],
)
def test_options_that_name_a_path_or_code_are_refused(own_pack: Path, options: Any, message: str) -> None:
    change_card(own_pack, lambda card: card["part"]["options"].update(options))
    assert message in refuse(own_pack)


@pytest.mark.parametrize("name", ["/tmp/x.toml", "x.toml", "onnx:/models", "open_clip:local-dir:x", "pack:../x", "a b"])
def test_a_base_that_is_a_path_is_refused(own_pack: Path, name: str) -> None:
    change_card(own_pack, lambda card: card["bases"][0].update(binding=name))
    assert "name of a published binding" in refuse(own_pack)


def test_links_are_refused(own_pack: Path, tmp_path: Path) -> None:
    for name in ("encoder.safetensors", "pack.json"):
        target = tmp_path / name
        (own_pack / name).rename(target)
        (own_pack / name).symlink_to(target)
        assert "got a link" in refuse(own_pack)
        (own_pack / name).unlink()
        target.rename(own_pack / name)
    anybind.load(f"pack:{own_pack}").encoder("event")


def test_a_changed_or_missing_file_is_refused(own_pack: Path) -> None:
    weights = (own_pack / "encoder.safetensors").read_bytes()
    (own_pack / "encoder.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert "truncated or changed" in refuse(own_pack, WeightsMismatch)
    (own_pack / "encoder.safetensors").unlink()
    assert "cannot read" in refuse(own_pack)


def test_a_pickle_named_as_safetensors_is_not_unpickled(own_pack: Path) -> None:
    (own_pack / "encoder.safetensors").write_bytes(pickle.dumps(Bomb()))
    hashes = {name: vars(file) for name, file in describe_files(own_pack).items()}
    change_card(own_pack, lambda card: card.update(files=hashes))
    assert "not a readable safetensors file" in refuse(own_pack)
    assert not Path(__file__).with_name("unpickled").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: card.update(format=2), "expected format 1, got 2"),
        (lambda card: card.update(licence=" "), "licence: expected a text"),
        (lambda card: card.update(bases=[]), "bases: expected at least one"),
        (lambda card: card.pop("part"), "lacks the key 'part'"),
        (lambda card: card["files"].pop("base.safetensors"), "expected base.safetensors among them"),
        (lambda card: card["files"]["README.md"].update(size=-1), "README.md: expected at most"),
        (lambda card: card["files"]["README.md"].update(size=1 << 30), "README.md: expected at most"),
        (lambda card: card["files"]["README.md"].update(sha256="x"), "a SHA-256"),
        (lambda card: card["part"].update(kind="head"), "part.kind"),
    ],
)
def test_a_card_that_is_wrong_is_refused(own_pack: Path, change: Any, message: str) -> None:
    change_card(own_pack, change)
    assert message in refuse(own_pack)


def test_a_damaged_or_too_large_card_is_refused(own_pack: Path) -> None:
    for content in (b"", b"{", b"[1]", b'{"format": 1', b" " * (5 << 20)):
        (own_pack / "pack.json").write_bytes(content)
        refuse(own_pack)


def test_an_encoder_that_is_not_installed_is_named(own_pack: Path) -> None:
    change_card(own_pack, lambda card: card["part"].update(name="my-own-encoder"))
    assert "my-own-encoder" in refuse(own_pack, UnknownName)
