"""Image files written by Pillow, damaged files, and image arrays."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anybind
from anybind import BadInput
from anybind.errors import BadOption
from anybind.modality import find_modality, infer_modality
from anybind.reader import find_reader

LOSSLESS = {
    "png": {},
    "gif": {},
    "webp": {"lossless": True},
    "bmp": {},
    "tif": {},
    "tiff": {"compression": "tiff_lzw"},
}
FORMATS = {**LOSSLESS, "jpg": {"quality": 95}}
ORIENTATION = 0x0112
"""EXIF tag of the orientation."""
# Pillow warns of some damage before it gives up, or of what it then reads all the same.
quiet = pytest.mark.filterwarnings("ignore")


def make_palette_image(shape: tuple[int, int] = (5, 7)) -> np.ndarray:
    """Make an image of at most 35 colours, exact in a palette."""
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def make_smooth_image(shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Make a smooth image for JPEG, with distinct corners."""
    down, across = np.mgrid[: shape[0], : shape[1]]
    return np.stack([40 + 5 * down, 60 + 4 * across, 90 + down + across], axis=-1).astype(np.uint8)


def save(path: Path, image: np.ndarray | PIL.Image.Image, **options: object) -> Path:
    if isinstance(image, np.ndarray):
        image = PIL.Image.fromarray(image)
    if path.suffix == ".gif" and image.mode == "RGB":
        # Left to itself, Pillow would choose a palette and move the colours.
        colours, index = np.unique(np.asarray(image).reshape(-1, 3), axis=0, return_inverse=True)
        size = image.size
        image = PIL.Image.frombytes("P", size, index.astype(np.uint8).tobytes())
        image.putpalette(colours.tobytes())
    image.save(path, **options)
    return path


def blend_with_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Blend a colour with white, in float64."""
    opacity = alpha[..., None].astype(np.float64) / 255
    return colour.astype(np.float64) * opacity + 255 * (1 - opacity)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_format_is_exact(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"image.{suffix}", make_palette_image(), **LOSSLESS[suffix])
    image = anybind.read(path)
    assert image.dtype == np.uint8
    assert image.shape == (5, 7, 3)
    assert np.array_equal(image, make_palette_image())


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp"])
def test_lossy_format_is_close(tmp_path: Path, suffix: str) -> None:
    image = anybind.read(save(tmp_path / f"image.{suffix}", make_smooth_image(), quality=95))
    assert image.dtype == np.uint8
    assert image.shape == (24, 32, 3)
    assert np.abs(image.astype(int) - make_smooth_image()).max() <= 12


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
def test_write_and_read_round_trip(tmp_path: Path, suffix: str) -> None:
    anybind.write(make_palette_image(), tmp_path / f"round.{suffix}")
    assert np.array_equal(anybind.read(tmp_path / f"round.{suffix}"), make_palette_image())


@pytest.mark.parametrize("suffix", FORMATS)
def test_reader_is_found_by_content(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"image.{suffix}", make_palette_image(), **FORMATS[suffix]).rename(tmp_path / "image")
    reader = find_reader(path)
    assert (reader.name, reader.spec.modality) == ("image", "image")


@pytest.mark.parametrize("name", ["photo.jpg", "photo.bin", "photo.npz", "photo.txt"])
def test_content_overrides_the_suffix(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "photo.png", make_palette_image()).rename(tmp_path / name)
    assert np.array_equal(anybind.read(path), make_palette_image())


@pytest.mark.parametrize(
    ("suffix", "options", "colour"),
    [
        ("png", {}, [10, 20, 30]),
        ("png", {"transparency": 0}, [255, 255, 255]),
        ("gif", {"transparency": 0}, [255, 255, 255]),
    ],
)
def test_palette_is_rgb_with_white_for_transparency(
    tmp_path: Path, suffix: str, options: dict[str, int], colour: list[int]
) -> None:
    indexed = PIL.Image.frombytes("P", (3, 1), bytes([2, 0, 1]))
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    path = save(tmp_path / f"palette.{suffix}", indexed, **options)
    assert anybind.read(path).tolist() == [[[70, 80, 90], colour, [40, 50, 60]]]


def test_gray_is_three_equal_channels(tmp_path: Path) -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = anybind.read(save(tmp_path / "gray.png", gray))
    assert np.array_equal(image, np.stack([gray, gray, gray], axis=-1))


def test_bilevel_is_0_and_255(tmp_path: Path) -> None:
    image = anybind.read(save(tmp_path / "bilevel.png", PIL.Image.fromarray(np.array([[True, False]]))))
    assert image.tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray_is_scaled_to_8_bits(tmp_path: Path, suffix: str) -> None:
    levels = np.array([[0, 255, 256, 1000, 32_768, 65_279, 65_535]], dtype=np.uint16)
    image = anybind.read(save(tmp_path / f"deep.{suffix}", levels))
    assert image.dtype == np.uint8
    # The full range on the full range: v / 65535 * 255, to within one level.
    assert np.abs(image[..., 0] - levels / 257).max() <= 1
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[0, -1].tolist() == [255, 255, 255]


def test_transparent_16_bit_level_is_white(tmp_path: Path) -> None:
    levels = np.array([[0, 257 * 5, 257 * 90]], dtype=np.uint16)
    image = anybind.read(save(tmp_path / "deep.png", levels, transparency=257 * 5))
    assert image[0, :, 0].tolist() == [0, 255, 90]


def test_cmyk_is_converted_to_rgb(tmp_path: Path) -> None:
    inks = np.random.default_rng(1).integers(0, 256, (6, 6, 4), dtype=np.uint8)
    image = anybind.read(save(tmp_path / "print.tif", PIL.Image.fromarray(inks, mode="CMYK")))
    # Each ink takes its share of the light, and black takes some of all: R = (1 - C)(1 - K), and so on.
    light = 1 - inks.astype(np.float64) / 255
    np.testing.assert_allclose(image, 255 * light[..., :3] * light[..., 3:], atol=1.01)


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    inks = np.zeros((16, 16, 4), dtype=np.uint8)
    inks[..., 0] = 255  # cyan alone
    image = anybind.read(save(tmp_path / "print.jpg", PIL.Image.fromarray(inks, mode="CMYK"), quality=95))
    np.testing.assert_allclose(image, np.broadcast_to([0, 255, 255], (16, 16, 3)), atol=4)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_transparency_is_blended_with_white(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    layer = np.random.default_rng(seed).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    layer[0, 0, 3], layer[0, 1, 3] = 0, 255
    path = save(tmp_path_factory.getbasetemp() / "layer.png", layer)
    image = anybind.read(path)
    np.testing.assert_allclose(image, blend_with_white(layer[..., :3], layer[..., 3]), atol=1.01)
    # Nothing of the colour below full transparency shows, and all of it above full opacity.
    assert image[0, 0].tolist() == [255, 255, 255]
    assert image[0, 1].tolist() == layer[0, 1, :3].tolist()


def test_transparent_gray_is_blended_with_white(tmp_path: Path) -> None:
    layer = np.array([[[0, 0], [0, 255], [100, 255], [0, 51]]], dtype=np.uint8)
    image = anybind.read(save(tmp_path / "layer.png", PIL.Image.fromarray(layer, mode="LA")))
    assert image[0, :, 0].tolist() == [255, 0, 100, 204]


def apply_orientation(image: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation to a stored image; 1 and invalid ones leave it as it is."""
    return {
        2: image[:, ::-1],  # mirrored left to right
        3: image[::-1, ::-1],  # upside down
        4: image[::-1],  # mirrored top to bottom
        5: image.transpose(1, 0, 2),  # mirrored at the main diagonal
        6: np.rot90(image, -1),  # to be turned clockwise
        7: image[::-1, ::-1].transpose(1, 0, 2),  # mirrored at the other diagonal
        8: np.rot90(image, 1),  # to be turned counterclockwise
    }.get(orientation, image)


@pytest.mark.parametrize("orientation", [*range(10), 65_535])
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(tmp_path / f"turned.{suffix}", make_palette_image(), exif=exif, **LOSSLESS[suffix])
    assert np.array_equal(anybind.read(path), apply_orientation(make_palette_image(), orientation))


def test_exif_orientation_of_jpeg_is_applied(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    image = anybind.read(save(tmp_path / "turned.jpg", make_smooth_image(), exif=exif, quality=95))
    assert image.shape == (32, 24, 3)
    assert np.abs(image.astype(int) - apply_orientation(make_smooth_image(), 6)).max() <= 12


def test_exif_orientation_of_16_bit_gray_is_applied(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    levels = np.arange(35, dtype=np.uint16).reshape(5, 7) * 257
    image = anybind.read(save(tmp_path / "deep.png", levels, exif=exif))
    assert image[..., 0].tolist() == np.rot90(levels // 257, -1).tolist()


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_first_frame_is_read(tmp_path: Path, suffix: str) -> None:
    first, second = (PIL.Image.new("RGB", (5, 4), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / f"animation.{suffix}", save_all=True, append_images=[second], **options)
    with PIL.Image.open(tmp_path / f"animation.{suffix}") as animation:
        assert animation.n_frames == 2
    assert (anybind.read(tmp_path / f"animation.{suffix}") == [255, 0, 0]).all()


@quiet
@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated_image_is_rejected(tmp_path: Path, suffix: str) -> None:
    data = save(tmp_path / f"data.{suffix}", make_palette_image((12, 14)), **FORMATS[suffix]).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for share in range(1, 96):
        path.write_bytes(data[: max(1, share * len(data) // 100)])
        with pytest.raises(BadInput, match=rf"cut\.{suffix}"):
            anybind.read(path)


@quiet
@pytest.mark.parametrize("suffix", FORMATS)
def test_image_truncated_anywhere_is_rejected_or_complete(tmp_path: Path, suffix: str) -> None:
    # In some formats the last bytes hold no pixels, only the mark that the file ends here.
    path = save(tmp_path / f"image.{suffix}", make_palette_image(), **FORMATS[suffix])
    data, image = path.read_bytes(), anybind.read(path)
    others = []
    for end in range(len(data)):
        path.write_bytes(data[:end])
        try:
            if not np.array_equal(anybind.read(path), image):
                others.append(end)
        except BadInput:
            continue
    assert others == []


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("suffix", FORMATS)
def test_image_with_flipped_bit_is_read_or_rejected(tmp_path: Path, suffix: str) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION], exif[0x010E] = 6, "a duck"
    options = FORMATS[suffix] if suffix in ("gif", "bmp") else {**FORMATS[suffix], "exif": exif}
    path = save(tmp_path / f"bent.{suffix}", make_palette_image(), **options)
    data, failed = path.read_bytes(), {}
    for at in range(len(data)):
        for bit in (0, 2):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            try:
                anybind.read(path)
            except BadInput:
                continue
            except Exception as error:
                failed.setdefault(f"{type(error).__name__}: {error}", f"bit {bit} of byte {at}")
    assert failed == {}


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tif"])
def test_text_with_image_suffix_is_rejected(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"note.{suffix}"
    path.write_text("a rubber duck\n")
    with pytest.raises(BadInput, match=rf"note\.{suffix} is not a valid \.{suffix} file"):
        anybind.read(path)
    with pytest.raises(BadInput, match=rf"note\.{suffix}"):
        anybind.read(path, reader="image")


def test_unsupported_suffix_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"image\.npz"):
        anybind.write(make_palette_image(), tmp_path / "image.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((5, 7), dtype=np.uint8),
        np.zeros((5, 7, 4), dtype=np.uint8),
        np.zeros((3, 5, 7), dtype=np.uint8),
        np.zeros((5, 7, 3), dtype=np.float32),
        np.zeros((1, 5, 7, 3), dtype=np.uint8),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)
def test_other_arrays_are_not_images(array: np.ndarray) -> None:
    assert not find_modality("image").accepts(array)


@pytest.mark.parametrize("shape", [(0, 7, 3), (5, 0, 3)])
def test_empty_image_is_rejected(shape: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match=rf"empty image \(shape \({shape[0]}, {shape[1]}, 3\)\)"):
        find_modality("image").check(np.zeros(shape, dtype=np.uint8))


def test_rgb_array_is_an_image_from_one_pixel() -> None:
    image = make_palette_image((1, 1))
    assert infer_modality(image) == "image"
    find_modality("image").check(image)
    assert np.array_equal(find_modality("image").show(image), image)


def test_image_is_not_derived_from_text() -> None:
    with pytest.raises(BadInput, match="no image can be made from text"):
        anybind.derive("image", "a duck")


def test_box_reads_a_crop(tmp_path: Path) -> None:
    image = make_palette_image((5, 7))
    path = save(tmp_path / "a.png", image)
    assert (anybind.read(path, box=(1, 0, 4, 5)) == image[0:5, 1:4]).all()
    assert (anybind.read(path, box=[0, 0, 7, 5]) == image).all()


def test_box_applies_to_the_upright_image(tmp_path: Path) -> None:
    image = PIL.Image.fromarray(make_smooth_image((24, 32)))
    exif = image.getexif()
    exif[ORIENTATION] = 6  # turned by a quarter
    image.save(tmp_path / "a.png", exif=exif)
    data = anybind.read(tmp_path / "a.png")
    assert data.shape == (32, 24, 3)
    assert (anybind.read(tmp_path / "a.png", box=(0, 20, 10, 32)) == data[20:32, 0:10]).all()


@pytest.mark.parametrize("box", [(0, 0, 8, 5), (-1, 0, 3, 3), (3, 0, 3, 3), (0, 0, 3), (4, 4, 2, 5)])
def test_box_outside_the_image_is_rejected(tmp_path: Path, box: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.png", make_palette_image((5, 7)))
    with pytest.raises(BadOption, match=r"a\.png: box: expected .* within 7x5 pixels"):
        anybind.read(path, box=box)


def save_declared_png(path: Path, width: int, height: int) -> Path:
    """Write a PNG of few bytes whose header declares many pixels, with a valid checksum."""
    PIL.Image.new("RGBA", (8, 8)).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path.write_bytes(content)
    return path


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(9000, 9000), (13_300, 13_300), (40_000, 40_000)])
def test_too_many_pixels_are_rejected_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    path = save_declared_png(tmp_path / "a.png", *size)
    with pytest.raises(BadInput, match=rf"a\.png: {size[0]}x{size[1]} pixels exceed the limit of 67108864; save a"):
        anybind.read(path)
    assert PIL.Image.MAX_IMAGE_PIXELS is not None  # Pillow's limit is restored


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("suffix", "mode", "options"),
    [
        (".png", "RGBA", {}),
        (".png", "1", {}),
        (".webp", "RGB", {}),
        (".tif", "RGB", {"compression": "tiff_lzw"}),
        (".jpg", "L", {}),
        (".bmp", "RGB", {}),
        (".gif", "L", {}),
        (".ppm", "RGB", {}),
    ],
)
def test_limit_of_pixels_is_an_option(tmp_path: Path, suffix: str, mode: str, options: dict[str, str]) -> None:
    path = tmp_path / f"a{suffix}"
    PIL.Image.new(mode, (200, 100)).save(path, **options)
    assert anybind.read(path, reader="image", max_pixels=20_000).shape == (100, 200, 3)
    with pytest.raises(BadInput, match="200x100 pixels exceed the limit of 19999"):
        anybind.read(path, reader="image", max_pixels=19_999)
    with pytest.raises(BadOption, match="max_pixels: expected at least 1, got 0"):
        anybind.read(path, reader="image", max_pixels=0)


def test_limit_can_be_raised_beyond_that_of_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    PIL.Image.new("L", (200, 100)).save(tmp_path / "a.png")
    assert anybind.read(tmp_path / "a.png").shape == (100, 200, 3)
    assert PIL.Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "L", "1", "P", "I;16", "CMYK"])
def test_bands_of_a_large_image_equal_the_whole(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    if mode == "I;16":
        image = PIL.Image.fromarray(random.integers(0, 65536, (37, 23), dtype=np.uint16))
    else:
        rgba = PIL.Image.fromarray(random.integers(0, 256, (37, 23, 4), dtype=np.uint8), "RGBA")
        image = rgba.convert("RGB").convert(mode) if mode in ("P", "CMYK", "1") else rgba.convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path, **({"transparency": 3} if mode == "P" else {}))
    whole = anybind.read(path, reader="image")
    monkeypatch.setattr("anybind_media.image.BAND_PIXELS", 100)
    assert np.array_equal(anybind.read(path, reader="image"), whole)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK", "I;16"])
def test_an_image_of_pillow_is_what_its_file_is(tmp_path: Path, mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    gray = pixels[..., 0].astype(np.uint16) * 257
    image = PIL.Image.fromarray(gray) if mode == "I;16" else PIL.Image.fromarray(pixels).convert(mode)
    image.getexif()[0x0112] = 6
    path = tmp_path / "a.tif"
    image.save(path, exif=image.getexif())
    modality = find_modality("image")
    with PIL.Image.open(path) as opened:
        assert modality.accepts(opened)
        np.testing.assert_array_equal(modality.as_sample(opened), anybind.read(path))
    assert infer_modality(image) == "image"


def test_a_pillow_image_is_embedded_as_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.effect_noise((40, 30), 50).save(path)
    binder = anybind.load("mini")
    with PIL.Image.open(path) as image:
        for items in (image, [image, image]):
            vectors = binder.embed("image", items).vectors
            np.testing.assert_allclose(vectors[-1:], binder.embed("image", path).vectors, atol=1e-6)


def test_an_incomplete_pillow_image_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PIL.Image.effect_noise((40, 30), 50).save(path)
    path.write_bytes(path.read_bytes()[:300])
    with PIL.Image.open(path) as image, pytest.raises(BadInput, match=r"image\[0\]: incomplete image"):
        anybind.load("mini").embed("image", [image])
    with pytest.raises(BadInput, match="floating-point"):
        anybind.load("mini").embed("image", [PIL.Image.new("F", (9, 9))])
