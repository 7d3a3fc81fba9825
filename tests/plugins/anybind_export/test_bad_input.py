"""Invalid options, samples and folders: one clear line each, and nothing is written."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import pytest

import anybind
from anybind import Binding
from anybind.errors import BadInput, BadOption, MissingExtra, UnsupportedBackend, WeightsMismatch
from anybind_export import export
from anybind_export.card import hash_files

from .conftest import make_binding

pytestmark = pytest.mark.torch


def change_card(folder, change):
    card = json.loads((folder / "card.json").read_text())
    change(card)
    (folder / "card.json").write_text(json.dumps(card))


def load_images(folder):
    return anybind.load(f"onnx:{folder}").encoder("image")


@pytest.mark.parametrize("version", [2, None, "1"])
def test_a_folder_of_another_version_of_the_format_is_refused(version, exported):
    change_card(exported, lambda card: card.update(format=version))
    with pytest.raises(BadInput, match=r"card.json: expected format 1, got .*; export it again with this version$"):
        anybind.load(f"onnx:{exported}")


def test_a_folder_without_a_card_or_of_no_export_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"not a folder of exported encoders; make one: anybind export"):
        anybind.load(f"onnx:{tmp_path / 'absent'}")
    with pytest.raises(BadInput, match=r"cannot read .*card.json"):
        anybind.load(f"onnx:{tmp_path}")
    with pytest.raises(BadOption, match="expected a folder of exported encoders after onnx:"):
        anybind.load("onnx")


def test_an_unknown_entry_of_a_card_is_refused(exported):
    change_card(exported, lambda card: card["encoders"]["image"].update(module="os"))
    with pytest.raises(BadInput, match="unknown key 'module'"):
        anybind.load(f"onnx:{exported}")


def test_a_card_can_only_name_registered_encoders(exported):
    change_card(exported, lambda card: card["encoders"]["image"].update(input="os:system"))
    with pytest.raises(anybind.AnybindError, match="'os:system'"):
        load_images(exported)
    change_card(exported, lambda card: card["encoders"]["image"].update(input="plain"))
    with pytest.raises(UnsupportedBackend, match="the encoder 'plain' of tiny-dist cannot be exported"):
        load_images(exported)


@pytest.mark.parametrize("change", ["truncated", "changed", "missing"])
def test_a_truncated_or_changed_file_is_refused(change, exported):
    path = exported / "image" / "model.onnx"
    content = path.read_bytes()
    path.unlink()
    if change != "missing":
        path.write_bytes(content[:-10] if change == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    error = BadInput if change == "missing" else WeightsMismatch
    with pytest.raises(error, match=r"model.onnx.*(: truncated or changed: expected SHA-256|No such file)"):
        load_images(exported)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
def test_external_data_outside_the_folder_is_refused_before_it_is_opened(location, exported, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(10_000))
    if location == "link":
        (exported / "image" / "link").symlink_to(tmp_path / "secret")
    path = exported / "image" / "model.onnx"
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    hashes = {"model.onnx": hash_files(exported / "image")["model.onnx"]}
    change_card(exported, lambda card: card["encoders"]["image"].update(files=hashes))
    with pytest.raises(BadInput, match=rf"expected external data in the folder of the file, got '{location}'"):
        load_images(exported)


def test_names_of_files_that_leave_the_folder_are_refused(exported):
    change_card(exported, lambda card: card["encoders"]["image"].update(files={"../../secret": "0"}))
    with pytest.raises(BadInput, match=r"expected the name of a file in image, got '../../secret'"):
        load_images(exported)


def test_an_operator_that_the_runtime_lacks_is_one_line(exported):
    path = exported / "image" / "model.onnx"
    model = onnx.load(path)
    model.graph.node[0].op_type = "Teleport"
    path.write_bytes(model.SerializeToString())
    change_card(exported, lambda card: card["encoders"]["image"].update(files=hash_files(exported / "image")))
    with pytest.raises(BadInput, match=r"onnx cannot load this network: .*Teleport") as caught:
        load_images(exported)
    assert "\n" not in str(caught.value)


def test_an_encoder_with_an_operator_that_onnx_lacks_is_refused(export_tiny, tmp_path):
    with pytest.raises(UnsupportedBackend, match=r"'tiny-image' cannot be exported to ONNX: .*bessel_j0") as caught:
        export_tiny("unsupported")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_an_encoder_whose_network_fixes_the_size_of_the_batch_is_refused(export_tiny):
    with pytest.raises(UnsupportedBackend, match="its network fixes the size 'n' of 'inputs'"):
        export_tiny("fixed")


def test_an_encoder_that_declares_no_export_is_refused(tmp_path):
    with pytest.raises(UnsupportedBackend, match="PlainEncoder cannot be exported: it has no plan_export"):
        export(Binding("plain", {"text": Binding.configure("plain")}), tmp_path / "new")


def test_samples_of_the_wrong_modality_are_refused(export_tiny, images, tmp_path, test_data):
    with pytest.raises(BadInput, match=r"\.ogg holds sound, which .* \(it embeds image\)"):
        export_tiny(precision="int8", samples=sorted((test_data / "esc10").rglob("*.ogg"))[:64])
    assert not (tmp_path / "new").exists()


def test_samples_of_the_wrong_type_are_refused(export_tiny, images):
    with pytest.raises(BadInput, match="samples: expected samples of image, got a str at 0"):
        export_tiny(samples={"image": ["a duck"] * 64})
    with pytest.raises(BadOption, match="samples: expected the modalities image, got 'sound'"):
        export_tiny(samples={"sound": [np.zeros(1)] * 64})


def test_too_few_samples_are_refused(export_tiny, images):
    with pytest.raises(BadOption, match="expected at least 64 samples of image, got 63"):
        export_tiny(samples={"image": images[:63]})
    with pytest.raises(BadOption, match="int8 is calibrated on samples: expected at least 64 of image, got none"):
        export_tiny(precision="int8")


def test_an_invalid_option_is_refused(export_tiny, exported, tmp_path):
    with pytest.raises(BadOption, match=r"expected a backend of onnx, openvino and a precision of .* got 'tensorrt'"):
        export_tiny(backend="tensorrt")
    with pytest.raises(BadOption, match="got 'onnx' and 'int4'"):
        export_tiny(precision="int4")
    with pytest.raises(BadInput, match=r"cannot write .*exported"):
        export(make_binding(), exported)
    with pytest.raises(anybind.AnybindError, match="no encoder for 'sound'"):
        export_tiny(modalities=["sound"])


@pytest.mark.parametrize("package", ["openvino", "onnxscript"])
def test_a_missing_package_is_named_with_its_extra(package, export_tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"export needs the package '{package}': pip install 'anybind\[export"):
        export_tiny(backend="openvino")


def test_a_missing_runtime_is_named_when_a_folder_is_loaded(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"needs onnxruntime: pip install 'anybind\[onnx\]'"):
        load_images(exported)


def test_an_export_is_loaded_on_its_own_backend_only(exported):
    with pytest.raises(UnsupportedBackend, match="exported for the backend onnx, got openvino"):
        anybind.load(f"onnx:{exported}", backend="openvino").encoder("image")


def test_an_export_is_not_loaded_on_torch(exported):
    with pytest.raises(
        UnsupportedBackend, match="the encoder 'exported' is a graph, which the backend torch cannot run"
    ):
        anybind.load(f"onnx:{exported}", backend="torch").encoder("image")
