"""Every loader of a weight, head, adapter, embedding, index or state file, against files made to harm.

Nothing in them is executed, each is refused in one line with the file's name, and none takes more memory than its size.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from anybind import AnybindError, Embeddings, Space, embeddings, tensor_checks
from anybind.plugin import Head, HeadInput, TorchEncoder, tensors
from anybind_adapters.adapters import Ridge
from anybind_adapters.file import AdapterFile, write_adapter
from anybind_imagebind.modules import Architecture, PatchTransformer, map_weight_name
from anybind_imagebind.weights import load_module
from anybind_languagebind.checkpoint import SCALE, SHARED, VISION, load_checkpoint
from anybind_openclip.encoders import load_image_encoder
from anybind_retrieval.file_index import FileIndex, FileIndexWriter
from anybind_retrieval.index import IndexCard, IndexedEncoder, IndexEntry
from anybind_train.import_checkpoint import load_image_weights, read_event_encoder
from anybind_train.state import Progress, load_state, save_state
from anybind_train.student import WeightAverage

SPACE = Space("s", 4)
SMALL = Architecture("depth", 8, 1, 2, tokens=5, dim=4, kernel=(1, 2, 2), stride=2, is_bound=True)
TINY = {
    "embed_dim": 4,
    "vision_cfg": {"image_size": 8, "layers": 1, "width": 64, "head_width": 32, "patch_size": 4},
    "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 8, "heads": 2, "layers": 1},
}


class LinearEncoder(TorchEncoder):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Linear(3, 4), modality="image", space=SPACE, preprocessing={"size": 3})

    def preprocess(self, sample: Any) -> torch.Tensor:
        return torch.as_tensor(sample)


def make_embeddings() -> Embeddings:
    vectors = embeddings.normalize(np.random.default_rng(0).normal(size=(6, 4)))
    return Embeddings(vectors, SPACE, "image", tuple("abcdef"), "e")


def make_head(name: str) -> Head:
    return Head.find(name, modality="image").fit(HeadInput({"image": make_embeddings()}), [0, 1] * 3, ("no", "yes"))


def write_index(path: Path) -> None:
    writer = FileIndexWriter(path, None)
    group = make_embeddings()
    writer.add("image", [IndexEntry(id, 1, 1) for id in group.ids], group.vectors)
    writer.finish(IndexCard("b", SPACE, {"image": IndexedEncoder("image", "e")}))


def make_run() -> tuple[nn.Module, torch.optim.Optimizer, WeightAverage]:
    module = nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    return module, optimiser, WeightAverage(module, 0.9)


def make_imagebind_state() -> dict[str, torch.Tensor]:
    state = PatchTransformer(SMALL).state_dict()
    return {map_weight_name(SMALL, name): torch.randn_like(tensor) for name, tensor in state.items()}


def make_languagebind_state() -> dict[str, torch.Tensor]:
    shared = {SHARED[0]: torch.randn(4, 4), SHARED[1]: torch.randn(4), SHARED[2]: torch.randn(4)}
    return {**shared, SCALE: torch.tensor(2.0), "vision_model.a": torch.randn(3, 3)}


def make_affine() -> dict[str, torch.Tensor]:
    return {"weight": torch.randn(4, 4), "bias": torch.randn(4)}


def make_clip() -> nn.Module:
    torch.manual_seed(0)
    return open_clip.CLIP(**copy.deepcopy(TINY))  # pyright: ignore[reportArgumentType]


def write_languagebind(path: Path, write: Callable[[dict[str, torch.Tensor], Path], None]) -> None:
    (path.parent / "config.json").write_text("{}")
    write(make_languagebind_state(), path)


def load_open_clip(path: Path) -> object:
    return load_image_encoder(str(path), architecture="hostile-tiny", preprocess=PREPROCESS)


PREPROCESS = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}

Loader = tuple[str, Callable[[Path], object], Callable[[Path], object]]
SAFETENSORS: dict[str, Loader] = {
    "embeddings": (
        "a.safetensors",
        lambda path: embeddings.save_embeddings(path, [make_embeddings()]),
        embeddings.load_embeddings,
    ),
    "linear head": ("a.safetensors", lambda path: make_head("linear-probe").save(path), Head.find),
    "anomaly head": ("a.safetensors", lambda path: make_head("one-class").save(path), Head.find),
    "adapter": (
        "a.safetensors",
        lambda path: write_adapter(path, AdapterFile("ridge", SPACE, SPACE, {}, make_affine(), {})),
        Ridge,
    ),
    "encoder": ("a.safetensors", LinearEncoder().save_weights, lambda path: LinearEncoder().load_weights(path)),
    "index": ("a.safetensors", write_index, lambda path: FileIndex(path).get_vectors("image")),
    "state": (
        "a.safetensors",
        lambda path: save_state(path, Progress("r", "d"), *make_run()),
        lambda path: load_state(path, Progress("r", "d"), *make_run()),
    ),
    "imagebind": (
        "a.safetensors",
        lambda path: save_file(make_imagebind_state(), path),
        lambda path: load_module(SMALL, str(path)),
    ),
    "languagebind": (
        "model.safetensors",
        lambda path: write_languagebind(path, save_file),
        lambda path: load_checkpoint(f"local-dir:{path.parent}", VISION),
    ),
    "open_clip": ("a.safetensors", lambda path: save_file(make_clip().state_dict(), path), load_open_clip),
}
TORCH: dict[str, Loader] = {
    "imagebind": (
        "a.pth",
        lambda path: torch.save(make_imagebind_state(), path),
        lambda path: load_module(SMALL, str(path)),
    ),
    "languagebind": (
        "pytorch_model.bin",
        lambda path: write_languagebind(path, torch.save),
        lambda path: load_checkpoint(f"local-dir:{path.parent}", VISION),
    ),
    "open_clip": ("a.pt", lambda path: torch.save(make_clip().state_dict(), path), load_open_clip),
    "wrapped open_clip": (
        "a.pt",
        lambda path: torch.save({"epoch": 1, "state_dict": make_clip().state_dict()}, path),
        load_open_clip,
    ),
    "authors' checkpoint": (
        "a.pt",
        lambda path: torch.save({"checkpoint": {"encoder_k.visual.weight": torch.ones(4, 3)}}, path),
        lambda path: load_image_weights(_ImageHalf(), path, read_event_encoder(path)),
    ),
}


class _ImageHalf(LinearEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.module = nn.ModuleDict({"visual": nn.Linear(3, 4, bias=False)})


@pytest.fixture(autouse=True, scope="module")
def small_architecture(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Add a small model to open_clip's list."""
    path = tmp_path_factory.mktemp("configs") / "hostile-tiny.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.trace), "w")


def split_file(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the header and the data of a safetensors file."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def join_file(path: Path, header: dict[str, Any] | bytes, data: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def find_floats(header: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of the last floating-point tensor in a header."""
    entries = [each for name, each in header.items() if name != "__metadata__" and each["dtype"] == "F32"]
    return max(entries, key=lambda each: each["data_offsets"][1] - each["data_offsets"][0])


def change_header(change: Callable[[dict[str, Any]], object]) -> Callable[[Path, Path], None]:
    def damage(path: Path, trace: Path) -> None:
        header, data = split_file(path)
        change(header)
        join_file(path, header, data)

    return damage


def put_float(value: float) -> Callable[[Path, Path], None]:
    def damage(path: Path, trace: Path) -> None:
        header, data = split_file(path)
        start = find_floats(header)["data_offsets"][0]
        join_file(path, header, data[:start] + struct.pack("<f", value) + data[start + 4 :])

    return damage


def stack_names(path: Path, trace: Path) -> None:
    header, data = split_file(path)
    text = json.dumps(header)
    name = next(each for each in header if each != "__metadata__")
    join_file(path, (text[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}").encode(), data)


def list_many(path: Path, trace: Path) -> None:
    header, data = split_file(path)
    header |= {f"e{n}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(1001)}
    join_file(path, header, data)


def overlap(header: dict[str, Any]) -> None:
    find_floats(header)["data_offsets"][0] -= 4


def change_type(header: dict[str, Any]) -> None:
    find_floats(header)["dtype"] = "I32"


def change_shape(header: dict[str, Any]) -> None:
    entry = find_floats(header)
    entry["shape"] = [1, *entry["shape"]]


def write_bytes(content: bytes) -> Callable[[Path, Path], None]:
    return lambda path, trace: path.write_bytes(content) and None


def make_npz() -> bytes:
    np.savez(buffer := io.BytesIO(), a=np.array([{}], dtype=object))
    return buffer.getvalue()


Damage = Callable[[Path, Path], Any]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
ANY: dict[str, Damage] = {
    "pickle": lambda path, trace: path.write_bytes(pickle.dumps(Payload(trace))),
    "pickle of protocol 0": lambda path, trace: path.write_bytes(pickle.dumps(Payload(trace), 0)),
    "torch archive with code": lambda path, trace: torch.save({"encoder_k.visual.a": Payload(trace)}, path),
    "old torch file with code": lambda path, trace: torch.save(
        {"encoder_k.visual.a": Payload(trace)}, path, _use_new_zipfile_serialization=False
    ),
    "array of objects": lambda path, trace: np.save(path.open("wb"), np.array([Payload(trace)]), allow_pickle=True),
    "npz of objects": write_bytes(make_npz()),
    "empty": write_bytes(b""),
    "zip without entries": lambda path, trace: zipfile.ZipFile(path, "w").close(),
    "truncated": lambda path, trace: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "one byte less": lambda path, trace: path.write_bytes(path.read_bytes()[:-1]),
    "pointer": write_bytes(POINTER),
    "page": write_bytes(b"<!doctype html><html><body>Sign in</body></html>"),
}
LYING: dict[str, Damage] = {
    "one byte more": lambda path, trace: path.write_bytes(path.read_bytes() + b"a"),
    "huge header": write_bytes(struct.pack("<Q", 1 << 62) + b"{}"),
    "header beyond the end": write_bytes(struct.pack("<Q", 99_999_999) + b"{}"),
    "nested header": lambda path, trace: join_file(path, b"[" * 100_000, b""),
    "no object": lambda path, trace: join_file(path, b"[]", b""),
    "header of another encoding": lambda path, trace: join_file(
        path, json.dumps(split_file(path)[0]).encode("utf-16"), b""
    ),
    "duplicate": stack_names,
    "many tensors": list_many,
    "overlap": change_header(overlap),
    "larger shape": change_header(lambda header: find_floats(header).update(shape=[1 << 40])),
    "negative shape": change_header(lambda header: find_floats(header).update(shape=[-1])),
    "overflowing shape": change_header(lambda header: find_floats(header).update(shape=[1 << 62, 8])),
    "unknown type": change_header(lambda header: find_floats(header).update(dtype="F128")),
    "integers": change_header(change_type),
    "another shape": change_header(change_shape),
    "NaN": put_float(float("nan")),
    "infinity": put_float(float("inf")),
    "minus infinity": put_float(float("-inf")),
}
CHANGED: dict[str, Damage] = {
    "NaN": lambda path, trace: replace_tensors(path, lambda tensor: tensor.float() * float("nan")),
    "infinity": lambda path, trace: replace_tensors(path, lambda tensor: tensor.float() / 0),
    "sparse": lambda path, trace: replace_tensors(path, lambda tensor: tensor.to_sparse()),
    "complex": lambda path, trace: replace_tensors(path, lambda tensor: tensor * 1j),
    "integers": lambda path, trace: replace_tensors(path, lambda tensor: tensor.int()),
    "without data": lambda path, trace: replace_tensors(path, lambda tensor: tensor.to("meta")),
    "repeated to a terabyte": lambda path, trace: replace_tensors(path, lambda _: torch.zeros(1).expand(1 << 38)),
    "another shape": lambda path, trace: replace_tensors(path, lambda tensor: tensor[None]),
    "no tensors": lambda path, trace: replace_tensors(path, lambda tensor: 1.0),
    "a list": lambda path, trace: torch.save([torch.ones(3)], path),
    "a loop": lambda path, trace: torch.save(make_loop(), path),
    "numbers as names": lambda path, trace: torch.save({1: torch.ones(3)}, path),
    "expanding archive": lambda path, trace: write_bomb(path),
}


def replace_tensors(path: Path, change: Callable[[torch.Tensor], Any]) -> None:
    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: walk(each) for name, each in value.items()}
        return change(value) if isinstance(value, torch.Tensor) else value

    torch.save(walk(torch.load(path, weights_only=True)), path)


def make_loop() -> list[Any]:
    """Return 2^60 lists, by references to sixty."""
    loop: list[Any] = []
    for _ in range(60):
        loop = [loop, loop]
    loop.append(loop)
    return loop


def write_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"}0" * (1 << 20) + b"}.")
        archive.writestr("archive/version", b"3\n")


CASES = [
    *((kind, name, SAFETENSORS[kind], damage) for kind in SAFETENSORS for name, damage in {**ANY, **LYING}.items()),
    *((kind, name, TORCH[kind], damage) for kind in TORCH for name, damage in {**ANY, **CHANGED}.items()),
]


@pytest.mark.parametrize(
    ("loader", "damage"), [case[2:] for case in CASES], ids=[f"{c[0]} {c[2][0][-7:]}: {c[1]}" for c in CASES]
)
@pytest.mark.filterwarnings("ignore")
def test_a_hostile_file_is_an_error_of_one_line_and_is_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: Loader, damage: Damage
) -> None:
    name, write, load = loader
    path, trace = tmp_path / name, tmp_path / "executed"
    monkeypatch.setattr(tensor_checks, "MAX_TENSORS", 1000)
    write(path)
    damage(path, trace)
    with pytest.raises(AnybindError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not trace.exists()


@pytest.mark.parametrize("kind", [*SAFETENSORS, *TORCH])
def test_the_files_load_before_they_are_damaged(tmp_path: Path, kind: str) -> None:
    for loaders in (SAFETENSORS, TORCH):
        if kind in loaders:
            name, write, load = loaders[kind]
            write(tmp_path / name)
            load(tmp_path / name)


def test_minus_infinity_in_a_mask_is_accepted(tmp_path: Path) -> None:
    save_file({"text.mask": torch.full((2, 2), float("-inf")).triu(1)}, tmp_path / "a.safetensors")
    assert tensors.read_weights(tmp_path / "a.safetensors")["text.mask"].isinf().any()
