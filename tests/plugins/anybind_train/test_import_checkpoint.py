"""`import-checkpoint`: small files in the format of the paper's authors, and invalid ones."""

from __future__ import annotations

import builtins
import copy
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import PIL.Image
import pytest
import torch
from safetensors.torch import save_file

import anybind
from anybind import AnybindWarning, BadInput
from anybind.errors import BadOption, WeightsMismatch
from anybind_events.encoder import EventEncoder
from anybind_events.encoder_input import frame_to_image
from anybind_events.stream import EventStream
from anybind_train import import_checkpoint as module
from anybind_train.import_checkpoint import find_binding_by_shapes, import_checkpoint, read_event_encoder

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    "quick_gelu": True,  # as in OpenAI's models
}
PREPROCESS = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.25, 0.3],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
SHAPES = {"conv1.weight": (64, 3, 16, 16), "positional_embedding": (17, 64), "proj": (64, 32)}

State = dict[str, torch.Tensor]


def random_model(seed: int) -> Any:
    torch.manual_seed(seed)
    return open_clip.CLIP(**copy.deepcopy(TINY)).eval()


@pytest.fixture(scope="session")
def binding(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Register the binding of a small CLIP, in place of `clip-vit-b-32`."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    state = {name: value.contiguous() for name, value in random_model(0).state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    config = {"model_cfg": TINY, "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    return f"open_clip:local-dir:{folder}"


@pytest.fixture(scope="session")
def trained() -> Any:
    """Return the small CLIP with another image half, as after training, and the same text half."""
    model = random_model(1)
    text = {name: value for name, value in random_model(0).state_dict().items() if not name.startswith("visual.")}
    model.load_state_dict(text, strict=False)
    return model


@pytest.fixture
def checkpoint(trained: Any, tmp_path: Path) -> Callable[..., Path]:
    """Write a file in the authors' format: `{"checkpoint": ...}`, with the event encoder among other weights."""

    def write(prefix: str = "encoder_k.", /, half: bool = False, **overrides: Any) -> Path:
        own = {prefix + key: value.half() if half else value for key, value in trained.state_dict().items()}
        other = {"encoder_q.visual.proj": torch.ones(64, 32), "logit_scale": torch.tensor(1.0)}
        torch.save({"checkpoint": {**other, **own, **overrides}}, tmp_path / "vitb.pt")
        return tmp_path / "vitb.pt"

    return write


@pytest.fixture(scope="session")
def recording() -> EventStream:
    random = np.random.default_rng(0)
    count = 20_000
    x, y = (random.beta(2, 5, count) * size for size in (90, 70))
    return EventStream(x.astype(int), y.astype(int), np.arange(count), random.random(count) < 0.5, 90, 70)


def run_import(path: Path, binding: str | None) -> Path:
    output = path.with_name("tower.safetensors")
    import_checkpoint(path, output, binding=binding)
    return output


def embed_with_open_clip(model: Any, tower: EventEncoder, recording: EventStream) -> np.ndarray:
    """Embed a recording's frame with open_clip alone."""
    config = open_clip.transform.merge_preprocess_dict(open_clip.transform.PreprocessCfg(), {**PREPROCESS, "size": 64})
    transform = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**config), is_train=False)
    image = PIL.Image.fromarray(frame_to_image(tower.frame(recording)))
    with torch.inference_mode():
        features = model.encode_image(transform(image)[None])
    return anybind.normalize(features.numpy(), "vector")


@pytest.mark.parametrize("prefix", ["encoder_k.", "module.encoder_k.", "model._orig_mod.encoder_k."])
def test_the_imported_encoder_equals_open_clip_with_the_checkpoint_weights(
    checkpoint: Callable[..., Path], binding: str, trained: Any, recording: EventStream, prefix: str
) -> None:
    output = run_import(checkpoint(prefix), binding)
    binder = anybind.load(binding)
    tower = binder.encoder("event")
    assert isinstance(tower, EventEncoder)
    untrained = tower.encode([tower.preprocess(recording)])
    tower.load_weights(output)
    vector = tower.encode([tower.preprocess(recording)])
    np.testing.assert_array_equal(vector, embed_with_open_clip(trained, tower, recording))
    assert (vector @ untrained.T).item() < 0.9  # so that unchanged weights would fail the test
    texts = binder.embed("text", ["a duck", "a kettle"])
    assert (binder.embed("event", [recording]) @ texts).shape == (1, 2)


def test_half_precision_weights_are_imported_unchanged(
    checkpoint: Callable[..., Path], binding: str, trained: Any, recording: EventStream
) -> None:
    output = run_import(checkpoint(half=True), binding)
    tower: Any = anybind.load(binding).encoder("event").load_weights(output)
    rounded = copy.deepcopy(trained).half().float()
    np.testing.assert_array_equal(
        tower.encode([tower.preprocess(recording)]), embed_with_open_clip(rounded, tower, recording)
    )


def test_the_command_describes_its_output(
    cli: Callable[..., Any], checkpoint: Callable[..., Path], binding: str, tmp_path: Path
) -> None:
    output = tmp_path / "out.safetensors"
    outcome = cli("import-checkpoint", checkpoint(), "-o", output, "--binding", binding, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    fields = json.loads(outcome.out)
    encoder: Any = anybind.load(binding).encoder("event").load_weights(output)
    assert fields["output"] == str(output)
    assert fields["binding"] == binding
    assert fields["weights"] == encoder.weights_hash
    assert fields["preprocessing"]["frame"]["representation"] == "paper"
    assert "frames" in fields["note"]
    plain = cli("import-checkpoint", checkpoint(), "-o", output, "--binding", binding)
    assert plain.code == 0
    assert str(output) in plain.out
    assert "note: " in plain.out


def test_the_binding_is_found_by_the_shapes_of_the_weights(
    checkpoint: Callable[..., Path], binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHAPES", {**module.SHAPES, binding: SHAPES})
    output = run_import(checkpoint(), None)
    assert anybind.load(binding).encoder("event").load_weights(output)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("architecture", "expected"), [("ViT-B-32", "clip-vit-b-32"), ("ViT-L-14", "clip-vit-l-14")])
def test_the_shapes_are_those_of_the_two_architectures(architecture: str, expected: str) -> None:
    with torch.device("meta"):
        model = open_clip.CLIP(**open_clip.get_model_config(architecture))
    assert find_binding_by_shapes(Path("x.pt"), model.state_dict()) == expected


@pytest.mark.parametrize("architecture", ["ViT-B-16", "ViT-L-14-336"])
def test_weights_of_another_architecture_are_rejected_with_their_shape(architecture: str) -> None:
    with torch.device("meta"):
        state = open_clip.CLIP(**open_clip.get_model_config(architecture)).state_dict()
    shape = "x".join(map(str, state["visual.conv1.weight"].shape))
    with pytest.raises(
        BadInput, match=rf"x\.pt: expected the shapes of clip-vit-b-32 or .*weight of shape {shape}; .*--binding"
    ):
        find_binding_by_shapes(Path("x.pt"), state)


class Touch:
    """An object that creates a file when it is unpickled, as a malicious checkpoint would."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return builtins.open, (str(self.path), "w")


@pytest.mark.parametrize("as_archive", [True, False])
@pytest.mark.parametrize("position", ["top level", "state", "weight"])
def test_a_file_that_executes_code_is_rejected_without_execution(
    trained: Any, tmp_path: Path, as_archive: bool, position: str
) -> None:
    trace, path = tmp_path / "executed", tmp_path / "malicious.pt"
    own = {f"encoder_k.{key}": value for key, value in trained.state_dict().items()}
    content: dict[str, Any] = {"checkpoint": own}
    if position == "top level":
        content = {"arguments": Touch(trace), **content}
    else:
        own["encoder_k.visual.proj" if position == "weight" else "epoch"] = Touch(trace)  # pyright: ignore[reportArgumentType]
    torch.save(content, path, _use_new_zipfile_serialization=as_archive)
    message = read_error(BadInput, path)
    assert re.search(r"malicious\.pt calls _?io\.open to be read, and nothing in a weight file is executed", message)
    assert not trace.exists()
    assert bytes(trace) in path.read_bytes()  # the file contains the call


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_program_is_rejected(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "program.pt")
    assert "program.pt is a TorchScript program" in read_error(BadInput, tmp_path / "program.pt")


def read_error(error: type[anybind.AnybindError], path: Path, binding: str | None = None) -> str:
    """Import an invalid file; return the error message, one line. No output is written."""
    with pytest.raises(error) as caught:
        run_import(path, binding)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not path.with_name("tower.safetensors").exists()
    return str(caught.value)


@pytest.mark.parametrize("fraction", [0, 0.001, 0.5, 0.99])
def test_a_truncated_checkpoint_is_rejected(checkpoint: Callable[..., Path], fraction: float) -> None:
    path = checkpoint()
    path.write_bytes(path.read_bytes()[: int(fraction * path.stat().st_size)])
    assert "not a weight file that torch can load" in read_error(BadInput, path)


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04", b"\x80\x04\x95", b"\x00" * 4096])
def test_a_file_that_is_not_a_checkpoint_is_rejected(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    assert "not a weight file that torch can load" in read_error(BadInput, tmp_path / "x.pt")


def test_a_small_file_that_declares_a_huge_array_is_rejected(tmp_path: Path) -> None:
    torch.save({"checkpoint": {"encoder_k.visual.proj": torch.zeros(300)}}, tmp_path / "small.pt")
    number = b"M" + (300).to_bytes(2, "little")
    huge = b"J" + (2**31 - 1).to_bytes(4, "little")
    with zipfile.ZipFile(tmp_path / "small.pt") as small, zipfile.ZipFile(tmp_path / "claims.pt", "w") as claims:
        for name in small.namelist():
            assert (number in small.read(name)) == name.endswith("data.pkl")
            claims.writestr(name, small.read(name).replace(number, huge))
    read_error(BadInput, tmp_path / "claims.pt")


def test_a_huge_expanded_array_is_rejected_by_its_shape(checkpoint: Callable[..., Path], binding: str) -> None:
    endless = torch.zeros(1).expand(2**40)
    path = checkpoint(**{"encoder_k.visual.proj": endless, "encoder_k.text_projection": endless})
    assert "expected dense tensors of real numbers within the file" in read_error(BadInput, path, binding)


def test_a_missing_file_and_a_folder_are_rejected(tmp_path: Path) -> None:
    assert "No such file" in read_error(BadInput, tmp_path / "missing.pt")
    (tmp_path / "folder.pt").mkdir()
    assert "is a folder; give a file" in read_error(BadInput, tmp_path / "folder.pt")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "expected {'checkpoint': weights by name}, got Tensor"),
        ({"checkpoint": {1: torch.zeros(3)}}, "expected {'checkpoint': weights by name}"),
        ({}, "expected keys that contain 'encoder_k.', got prefixes no keys"),
        ({"checkpoint": {"encoder_q.visual.proj": torch.zeros(3)}}, "got prefixes encoder_q: no event encoder"),
        ({"encoder_k.epoch": 3}, "'encoder_k.epoch': expected an array of floating-point numbers"),
        ({"encoder_k.visual.proj": torch.zeros(3, dtype=torch.int64)}, "expected an array of floating-point numbers"),
        ({"encoder_k.visual.proj": torch.zeros(3, device="meta")}, "expected dense tensors of real numbers"),
        ({"encoder_k.a": torch.zeros(3), "module.encoder_k.a": torch.ones(3)}, "expected one event encoder, got two"),
    ],
)
def test_another_checkpoint_is_rejected(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "x.pt")
    assert message in read_error(BadInput, tmp_path / "x.pt")


def test_weights_without_the_key_checkpoint_are_read(trained: Any, tmp_path: Path) -> None:
    own: Mapping[str, torch.Tensor] = trained.state_dict()
    torch.save({f"module.encoder_k.{key}": value for key, value in own.items()}, tmp_path / "bare.pt")
    state = read_event_encoder(tmp_path / "bare.pt")
    assert state.keys() == own.keys()
    assert all(torch.equal(state[key], own[key]) for key in own)


def test_weights_of_other_shapes_are_rejected_by_name(checkpoint: Callable[..., Path], binding: str) -> None:
    other = checkpoint(**{"encoder_k.visual.proj": torch.zeros(64, 48)})
    assert "other shapes of visual.proj" in read_error(WeightsMismatch, other, binding)
    deeper = checkpoint(**{"encoder_k.visual.transformer.resblocks.2.ln_1.weight": torch.zeros(64)})
    assert "has too many visual.transformer.resblocks.2.ln_1.weight" in read_error(WeightsMismatch, deeper, binding)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_rejected_by_name(
    checkpoint: Callable[..., Path], binding: str, value: float
) -> None:
    path = checkpoint(**{"encoder_k.visual.proj": torch.full((64, 32), value)})
    assert "'visual.proj' is not finite" in read_error(BadInput, path, binding)


def test_a_different_text_half_is_a_warning(checkpoint: Callable[..., Path], binding: str) -> None:
    path = checkpoint(**{"encoder_k.text_projection": torch.ones(32, 32)})
    with pytest.warns(
        AnybindWarning, match=r"vitb\.pt: the text half differs .* in 1 weights, such as text\.text_proj"
    ):
        assert run_import(path, binding).exists()


def test_an_event_encoder_without_torch_is_rejected(
    checkpoint: Callable[..., Path], binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anybind.Binder, "encoder", lambda self, modality: object())
    with pytest.raises(BadOption, match="expected a torch event encoder, got object"):
        run_import(checkpoint(), binding)


def test_an_invalid_output_is_rejected_before_reading_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=re.escape(str(tmp_path / "nowhere"))):
        import_checkpoint(tmp_path / "missing.pt", tmp_path / "nowhere" / "tower.safetensors")
