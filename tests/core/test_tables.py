"""Tables of TOML and JSON files, as dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from anybind.errors import BadInput, BadOption
from anybind.tables import parse_table, read_json


@dataclass(frozen=True)
class Layer:
    width: int
    rates: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1:
            raise BadOption("width must be 1 or more")


@dataclass(frozen=True)
class Network:
    name: str
    first: Layer
    layers: tuple[Layer, ...] = ()
    published: Mapping[str, float | Mapping[str, float]] = field(default_factory=dict)
    mode: Literal["fast", "exact"] = "fast"
    classes: str | tuple[str, ...] = ()
    probe: Layer | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prompts: Sequence[str] = ()
    trained: bool = False


LEAST = {"name": "n", "first": {"width": 1}}


def test_every_type_is_converted():
    table = {
        "name": "n",
        "first": {"width": 1, "rates": [1, 2.5]},
        "layers": [{"width": 2}],
        "published": {"us": 1, "them": {"top1": 0.5}},
        "mode": "exact",
        "classes": ["a", "b"],
        "probe": {"width": 3},
        "options": {"any": [1, {"x": None}]},
        "prompts": ["p"],
        "trained": True,
    }
    assert parse_table(Network, table, "file") == Network(
        name="n",
        first=Layer(1, (1.0, 2.5)),
        layers=(Layer(2),),
        published={"us": 1.0, "them": {"top1": 0.5}},
        mode="exact",
        classes=("a", "b"),
        probe=Layer(3),
        options={"any": [1, {"x": None}]},
        prompts=("p",),
        trained=True,
    )


def test_missing_keys_have_defaults():
    assert parse_table(Network, LEAST, "file") == Network("n", Layer(1))


def test_a_union_takes_each_of_its_types():
    assert parse_table(Network, LEAST | {"classes": "all"}, "file").classes == "all"
    assert parse_table(Network, LEAST | {"probe": None}, "file").probe is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 1}, "file: name: expected a text, got 1"),
        ({"first": {"width": "ten"}}, "file: first.width: expected a whole number, got 'ten'"),
        ({"first": {"width": True}}, "file: first.width: expected a whole number, got True"),
        ({"first": {"width": 1.0}}, "file: first.width: expected a whole number, got 1.0"),
        ({"first": {"width": 1, "rates": [1, "x"]}}, "file: first.rates.1: expected a number, got 'x'"),
        ({"first": 3}, "file: first: expected a table, got 3"),
        ({"layers": [{"width": 1}, 2]}, "file: layers.1: expected a table, got 2"),
        ({"published": {"us": {"top1": "x"}}}, "file: published.us.top1: expected a number, got 'x'"),
        ({"published": {"us": "x"}}, "file: published.us: expected a number or a table, got 'x'"),
        ({"mode": "fas"}, "file: mode: expected 'fast' or 'exact', got 'fas'; did you mean 'fast'?"),
        ({"classes": 3}, "file: classes: expected a text or a list, got 3"),
        ({"probe": 3}, "file: probe: expected a table, got 3"),
        ({"options": 3}, "file: options: expected a table, got 3"),
        ({"prompts": "p"}, "file: prompts: expected a list, got 'p'"),
        ({"trained": 1}, "file: trained: expected true or false, got 1"),
    ],
)
def test_a_value_of_another_type_raises_with_its_keys(change, message):
    with pytest.raises(BadOption) as raised:
        parse_table(Network, LEAST | change, "file")
    assert str(raised.value) == message


def test_an_unknown_key_raises_with_the_nearest():
    with pytest.raises(BadOption, match=r"^file: layers\.0 has an unknown key 'widht'; did you mean 'width'\?$"):
        parse_table(Network, LEAST | {"layers": [{"widht": 1}]}, "file")


def test_a_missing_key_raises_with_its_name():
    with pytest.raises(BadOption, match=r"^file lacks the key 'first'$"):
        parse_table(Network, {"name": "n"}, "file")


def test_an_error_of_the_dataclass_gets_the_position():
    with pytest.raises(BadOption, match=r"^file: layers\.0: width must be 1 or more$"):
        parse_table(Network, LEAST | {"layers": [{"width": 0}]}, "file")


def test_errors_are_of_the_given_class():
    for table in ([], {"name": 1}, LEAST | {"mode": 1}):
        with pytest.raises(BadInput):
            parse_table(Network, table, "file", BadInput)


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(path) == {"a": 1}


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000])
def test_invalid_json_raises_with_the_path(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.json: not valid JSON"):
        read_json(path)
    with pytest.raises(BadOption, match=r"a\.json: not valid JSON"):
        read_json(path, BadOption)


def test_a_missing_json_file_raises_with_its_path(tmp_path):
    with pytest.raises(BadInput, match=r"^cannot read .*a\.json: "):
        read_json(tmp_path / "a.json")
