"""Safetensors files with a JSON card, and published weight files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from anybind.errors import BadInput, WeightsMismatch
from anybind.tensors import InvalidCard, read_card, read_tensors, read_weights, write_tensors
from helpers.disk import limit_file_size

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bytes": np.frombuffer(b"abc", np.uint8),
    "empty": np.empty((0, 4), np.float32),
    "flags": np.array([True, False]),
    "scalar": np.array(3, np.int64),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


@pytest.mark.parametrize("mapped", [False, True])
def test_arrays_and_card_are_read_unchanged(path, mapped):
    write_tensors(path, ARRAYS, {"name": "\u00fc", "steps": [1, 2]}, key="my-card")
    card, arrays = read_tensors(path, key="my-card", mapped=mapped)
    assert card == read_card(path, key="my-card") == {"name": "\u00fc", "steps": [1, 2]}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(arrays[name], array, strict=True)


def test_a_transposed_array_keeps_its_values(path):
    write_tensors(path, {"matrix": ARRAYS["matrix"].T}, {})
    np.testing.assert_array_equal(read_tensors(path)[1]["matrix"], ARRAYS["matrix"].T)


def test_mapped_arrays_cannot_be_written(path):
    write_tensors(path, ARRAYS, {})
    with pytest.raises(ValueError, match="read-only"):
        read_tensors(path, mapped=True)[1]["matrix"][0] = 1


def test_torch_tensors_that_share_memory_are_read_unchanged(path):
    weight = torch.randn(3, 4, requires_grad=True)
    write_tensors(path, {"weight": weight, "tied": weight.T, "half": weight.detach().bfloat16()}, {})
    tensors = read_tensors(path, framework="torch")[1]
    assert torch.equal(tensors["tied"], weight.T)
    assert torch.equal(tensors["half"], weight.bfloat16())


def test_a_card_under_several_keys_is_read_unchanged(path):
    write_tensors(path, ARRAYS, {"image": {"n": 1}, "text": [2]}, key=None)
    assert read_card(path, key=None) == {"image": {"n": 1}, "text": [2]}
    assert read_card(path, key="image") == {"n": 1}


def test_a_failed_write_leaves_the_former_file(path):
    write_tensors(path, ARRAYS, {})
    before = path.read_bytes()
    with limit_file_size(left=4000), pytest.raises(BadInput, match=r"^cannot write .*file\.safetensors: .+$"):
        write_tensors(path, {"large": np.zeros(10_000)}, {})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("read", [read_card, read_tensors, read_weights])
@pytest.mark.parametrize("content", [b"", b"\x10", b"text that is no safetensors file", "cut"])
def test_a_damaged_file_raises_with_its_path(path, read, content):
    write_tensors(path, ARRAYS, {})
    path.write_bytes(path.read_bytes()[:-1] if content == "cut" else content)
    with pytest.raises(BadInput, match=r"^.*file\.safetensors: not a readable safetensors file .+$"):
        read(path)


@pytest.mark.parametrize("read", [read_card, read_tensors, read_weights])
def test_a_missing_file_raises_with_its_path(path, read):
    with pytest.raises(BadInput, match=r"^cannot read .*file\.safetensors: .+$"):
        read(path)


def test_a_dtype_that_numpy_lacks_raises(path):
    write_tensors(path, {"half": torch.zeros(2, dtype=torch.bfloat16)}, {})
    for mapped in (False, True):
        with pytest.raises(BadInput, match=r"file\.safetensors"):
            read_tensors(path, mapped=mapped)


@pytest.mark.parametrize("metadata", [None, {"other": "{}"}, {"anybind": "{"}, {"anybind": "3"}])
def test_a_missing_or_invalid_card_raises(path, metadata):
    save_file({"a": torch.zeros(1)}, path, metadata)
    with pytest.raises(InvalidCard, match=r"^.*file\.safetensors: "):
        read_card(path)


def test_weights_of_both_formats_are_read_by_name(path):
    state = {"a.weight": torch.randn(2, 3), "b.weight": torch.randn(4)}
    save_file(state, path)
    torch.save(state, path.with_suffix(".pt"))
    torch.save(state, path.with_suffix(".bin"), _use_new_zipfile_serialization=False)
    for each in path.parent.iterdir():
        weights = read_weights(each, lambda name: name.startswith("a."))
        assert list(weights) == ["a.weight"]
        assert torch.equal(weights["a.weight"], load_file(path)["a.weight"])


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_no_code_in_a_weight_file_is_executed(path, capsys):
    torch.save({"a": Harmful()}, path.with_suffix(".pt"))
    with pytest.raises(BadInput, match=r"file\.pt calls print"):
        read_weights(path.with_suffix(".pt"))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}])
def test_a_torch_file_without_a_state_dict_raises(path, content):
    torch.save(content, path.with_suffix(".pt"))
    with pytest.raises(WeightsMismatch, match=r"file\.pt"):
        read_weights(path.with_suffix(".pt"))
