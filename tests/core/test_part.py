"""Options of parts: names that the caller sets itself are refused, in Python and in commands."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import anybind
from anybind.commandline import parse_options, parse_reader_options
from anybind.errors import BadOption
from anybind.part import check_options
from anybind.reader import make_items


class Open:
    """Takes any option."""

    def __init__(self, folder: str, **options: object) -> None: ...

    def read(self, path: str, **options: object) -> None: ...


@pytest.mark.parametrize("target", [Open, Open("").read])
def test_an_option_named_self_is_refused_by_classes_and_methods_of_any_options(target):
    check_options("it", target, "first", other=1)
    with pytest.raises(BadOption, match="'self'"):
        check_options("it", target, "first", self=1)


def test_options_that_the_command_sets_itself_are_refused():
    assert parse_options(["size=3"], Open, "seed") == {"size": 3}
    for pair in ("folder=1", "self=1", "seed=1"):
        with pytest.raises(BadOption, match=rf"cannot set the option {pair[:-2]}, which the command sets"):
            parse_options([pair], Open, "seed")
    for pair in ("path=x", "count=100", "reader=npy", "chart=x"):
        with pytest.raises(BadOption, match=rf"cannot set the option {pair.partition('=')[0]}, which the command sets"):
            parse_reader_options([pair], "chart")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    for number, name in enumerate(["cat", "dog"]):
        (folder / name).mkdir(parents=True)
        Image.fromarray(np.full((32, 32, 3), 90 * number + 40, np.uint8)).save(folder / name / "a.png")
    return folder


@pytest.mark.parametrize(
    ("command", "option", "names"),
    [
        (("evaluate", "zero-shot", "--modality", "image", "--data", "{images}"), "--dataset-option",
         ("modalities", "name", "folder", "self")),
        (("fit-head", "{images}", "-o", "{out}.safetensors"), "--head-option",
         ("modality", "head", "binding", "data", "seed", "options", "self")),
        (("fit-head", "{images}", "-o", "{out}.safetensors"), "--reader-option", ("path",)),
        (("info", "{image}"), "--reader-option", ("path", "count", "file", "chart", "reader", "self")),
        (("convert", "{image}", "{out}.png"), "--reader-option", ("path", "start", "output", "format")),
        (("render", "{image}", "-o", "{out}.png"), "--reader-option", ("path",)),
        (("render", "{image}", "-o", "{out}.png"), "--representation-option", ("fps", "format", "reader_options")),
        (("classify", "{image}", "--labels", "a,b"), "--reader-option", ("path",)),
        (("index", "{images}", "-o", "{out}.safetensors"), "--reader-option", ("path",)),
        (("search", "a cat", "--in", "{images}"), "--reader-option", ("path",)),
        (("embed", "{images}", "-o", "{out}.safetensors"), "--reader-option", ("path",)),
        (("fit-adapter", "--source", "mini", "--target", "mini:image", "-o", "{out}.safetensors"), "--fit-option",
         ("seed", "data")),
    ],
)  # fmt: skip
def test_commands_refuse_options_with_the_name_of_an_argument(cli, images, tmp_path, command, option, names):
    places = {"images": images, "image": images / "cat" / "a.png", "out": tmp_path / "out"}
    arguments = [each.format(**places) for each in command]
    for name in names:
        error = cli(*arguments, option, f"{name}=1").error()
        assert f"cannot set the option {name}, which the command sets" in error


def test_a_task_refuses_an_option_named_self(cli, images):
    command = ("evaluate", "few-shot", "--modality", "image", "--data", images)
    assert "which the command sets" in cli(*command, "--task-option", "self=2").error()
    assert "which the command sets" in cli("datasets", "check", "folder", images, "--dataset-option", "self=2").error()


def test_functions_refuse_options_that_they_set(images):
    for name in ("modalities", "name", "folder"):
        with pytest.raises(BadOption, match=f"cannot set the option {name}, which the task sets"):
            anybind.evaluate("zero-shot", images, modality="image", dataset_options={name: ["image"]})
    with pytest.raises(BadOption, match="cannot set the option path, which anybind sets"):
        make_items({"image": [images / "cat" / "a.png"]}, {"path": "x"})
