"""`save_sentence_transformer`: folders that stock sentence-transformers loads without anybind."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("sentence_transformers", minversion="6")

import anybind
from anybind.plugin import BadInput, BadOption, errors
from anybind_sentence_transformers import save_sentence_transformer
from helpers.tiny_models import OPEN_CLIP_IMAGES, make_open_clip

from .conftest import load_stock, measure_cosines

TEXTS = ["a cat", "It's  A Dog's\tlife", "naïve café 日本 42", "one two three " * 9]
STOCK_PROCESS = """
import json, socket, sys

class NoAnybind:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("anybind"):
            raise ImportError("anybind is not here")

def refuse(*arguments, **options):
    raise OSError("no network here")

sys.meta_path.insert(0, NoAnybind())
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
try:
    import anybind
except ImportError:
    pass
else:
    raise SystemExit("anybind can be imported")

import numpy, PIL.Image
from sentence_transformers import SentenceTransformer

folder, work = sys.argv[1:]
texts = json.load(open(f"{work}/texts.json"))
images = [PIL.Image.open(f"{work}/{number}.png") for number in range(4)]
for name in json.load(open(f"{work}/names.json")):
    model = SentenceTransformer(f"{folder}/{name}", device="cpu")
    inputs = [{"text": text} for text in texts]
    numpy.savez(f"{work}/{name}.npz", text=model.encode(inputs), image=model.encode(images))
"""


@pytest.fixture
def photos() -> list[np.ndarray]:
    """Return images whose resized sides exceed the crop by even numbers: landscape, portrait and square."""
    random = np.random.default_rng(0)
    shapes = [(96, 128), (150, 60), (48, 48), (30, 50)]
    return [random.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]


def test_a_process_without_anybind_and_network_gives_the_same_embeddings(tmp_path, photos):
    squash = {**OPEN_CLIP_IMAGES, "interpolation": "bilinear", "resize_mode": "squash"}
    bindings = {
        "gelu": make_open_clip(tmp_path / "gelu-model"),
        "quick": make_open_clip(tmp_path / "quick-model", squash, quick_gelu=True),
    }
    work = tmp_path / "work"
    work.mkdir()
    for number, photo in enumerate(photos):
        PIL.Image.fromarray(photo).save(work / f"{number}.png")
    (work / "texts.json").write_text(json.dumps(TEXTS))
    (work / "names.json").write_text(json.dumps(list(bindings)))
    binders = {name: anybind.load(binding) for name, binding in bindings.items()}
    for name, binder in binders.items():
        saved = save_sentence_transformer(binder, tmp_path / name)
        assert (saved.modalities, saved.left_out) == (("text", "image"), ("event",))
        assert saved.max_difference < 1e-6
    command = [sys.executable, "-I", "-c", STOCK_PROCESS, str(tmp_path), str(work)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=work)
    assert process.returncode == 0, process.stderr
    for name, binder in binders.items():
        theirs = np.load(work / f"{name}.npz")
        with pytest.warns(anybind.AnybindWarning, match="text truncated"):
            ours = binder.embed("text", TEXTS).vectors
        assert measure_cosines(ours, theirs["text"]) == pytest.approx(1, abs=1e-6)
        assert measure_cosines(binder.embed("image", photos).vectors, theirs["image"]) == pytest.approx(1, abs=1e-6)


def test_a_saved_folder_is_a_binding_again(tmp_path, photos):
    binder = anybind.load(make_open_clip(tmp_path / "model"))
    save_sentence_transformer(binder, tmp_path / "saved")
    again = anybind.load(f"sentence-transformers:{tmp_path / 'saved'}")
    for modality, items in (("text", TEXTS[:3]), ("image", photos)):
        ours, theirs = binder.embed(modality, items).vectors, again.embed(modality, items).vectors
        assert measure_cosines(ours, theirs) == pytest.approx(1, abs=1e-6)
    assert again.encoder("image").logit_scale == pytest.approx(binder.encoder("image").logit_scale, rel=1e-6)


def test_an_odd_excess_of_the_crop_differs_by_one_pixel_as_documented(tmp_path):
    binder = anybind.load(make_open_clip(tmp_path / "model"))
    save_sentence_transformer(binder, tmp_path / "saved")
    stripes = np.zeros((48, 51, 3), np.uint8)
    stripes[:, ::2] = 255
    stock = load_stock(tmp_path / "saved").encode([PIL.Image.fromarray(stripes)])
    assert measure_cosines(binder.embed("image", [stripes]).vectors, stock)[0] < 1 - 1e-6
    shifted = binder.embed("image", [stripes[:, 1:49]]).vectors
    assert measure_cosines(shifted, stock)[0] == pytest.approx(1, abs=1e-6)


def test_a_sentence_transformers_binding_is_saved_with_its_prompts(qwen3_vl, tmp_path, images):
    binder = anybind.load(f"sentence-transformers:{qwen3_vl}")
    saved = save_sentence_transformer(binder, tmp_path / "saved")
    assert saved.modalities == ("text", "image", "video")
    stock = load_stock(tmp_path / "saved")
    assert stock.prompts == load_stock(qwen3_vl).prompts
    assert stock.default_prompt_name == "describe"


@pytest.mark.parametrize(
    "change",
    [
        {"vision_cfg__pool_type": "avg"},
        {"vision_cfg__layers": [1, 1, 1, 1], "vision_cfg__width": 32, "vision_cfg__image_size": 64},
        {"text_cfg__pool_type": "last"},
        {"text_cfg__no_causal_mask": True},
    ],
)
def test_what_stock_modules_cannot_express_is_refused_and_leaves_no_folder(change, tmp_path):
    binder = anybind.load(make_open_clip(tmp_path / "model", **change))
    with pytest.raises(errors.UnsupportedBackend, match="as_sentence_transformer") as raised:
        save_sentence_transformer(binder, tmp_path / "saved")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "saved").exists()


def test_padded_images_adapters_and_other_encoders_are_refused(clap, tmp_path):
    padded = make_open_clip(tmp_path / "padded", {**OPEN_CLIP_IMAGES, "resize_mode": "longest"})
    with pytest.raises(errors.UnsupportedBackend, match="preprocessing of its image encoder is not one of CLIP's"):
        save_sentence_transformer(anybind.load(padded), tmp_path / "saved")
    with pytest.raises(errors.UnsupportedBackend, match="image is mapped to the common space by an adapter"):
        save_sentence_transformer(anybind.load("mini"), tmp_path / "saved")
    with pytest.raises(BadOption, match="expected encoders of text and image, got none of image"):
        save_sentence_transformer(anybind.load(f"sentence-transformers:{clap}"), tmp_path / "saved")
    (tmp_path / "there").mkdir()
    with pytest.raises(BadInput, match="exists"):
        save_sentence_transformer(anybind.load(make_open_clip(tmp_path / "model")), tmp_path / "there")


def test_the_command_saves_a_binding_and_lists_what_it_left_out(cli, tmp_path):
    binding = make_open_clip(tmp_path / "model")
    result = cli("export-st", binding, "-o", tmp_path / "a")
    assert "text, image; largest difference of a cosine from 1:" in result.out
    assert "left out, since sentence-transformers has no modules for them: event" in result.out
    assert result.err == ""
    listing = json.loads(cli("export-st", binding, "-o", tmp_path / "b", "--json").out)
    assert (listing["modalities"], listing["left_out"]) == (["text", "image"], ["event"])
    assert "is mapped to the common space by an adapter" in cli("export-st", "mini", "-o", "c").error()
