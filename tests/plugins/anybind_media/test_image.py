"""Pictures: files that Pillow wrote come back as a viewer shows them, and damaged ones are refused."""

from __future__ import annotations

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
"""The EXIF tag that says how a camera was held."""
# Pillow warns of some damage before it gives up, or of what it then reads all the same.
quiet = pytest.mark.filterwarnings("ignore")


def few_colours(shape: tuple[int, int] = (5, 7)) -> np.ndarray:
    """A picture of at most 35 colours, so that a palette holds it exactly."""
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)


def slope(shape: tuple[int, int] = (24, 32)) -> np.ndarray:
    """A smooth picture, which JPEG hardly changes; no two corners are alike."""
    down, across = np.mgrid[: shape[0], : shape[1]]
    return np.stack([40 + 5 * down, 60 + 4 * across, 90 + down + across], axis=-1).astype(np.uint8)


def save(path: Path, picture: np.ndarray | PIL.Image.Image, **options: object) -> Path:
    if isinstance(picture, np.ndarray):
        picture = PIL.Image.fromarray(picture)
    if path.suffix == ".gif" and picture.mode == "RGB":
        # Left to itself, Pillow would choose a palette and move the colours.
        colours, index = np.unique(np.asarray(picture).reshape(-1, 3), axis=0, return_inverse=True)
        size = picture.size
        picture = PIL.Image.frombytes("P", size, index.astype(np.uint8).tobytes())
        picture.putpalette(colours.tobytes())
    picture.save(path, **options)
    return path


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """What is seen of a colour of some opacity that lies on white paper, in float64."""
    opacity = alpha[..., None].astype(np.float64) / 255
    return colour.astype(np.float64) * opacity + 255 * (1 - opacity)


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_a_picture_of_a_lossless_format_comes_back_exactly(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"picture.{suffix}", few_colours(), **LOSSLESS[suffix])
    picture = anybind.read(path)
    assert picture.dtype == np.uint8
    assert picture.shape == (5, 7, 3)
    assert np.array_equal(picture, few_colours())


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "webp"])
def test_a_picture_of_a_lossy_format_comes_back_nearly(tmp_path: Path, suffix: str) -> None:
    picture = anybind.read(save(tmp_path / f"picture.{suffix}", slope(), quality=95))
    assert picture.dtype == np.uint8
    assert picture.shape == (24, 32, 3)
    assert np.abs(picture.astype(int) - slope()).max() <= 12


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "tiff"])
def test_what_was_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    anybind.write(few_colours(), tmp_path / f"round.{suffix}")
    assert np.array_equal(anybind.read(tmp_path / f"round.{suffix}"), few_colours())


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_reader_is_found_by_content_and_gives_pictures(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"picture.{suffix}", few_colours(), **FORMATS[suffix]).rename(tmp_path / "picture")
    found = find_reader(path)
    assert (found.name, found.spec.modality) == ("picture", "image")


@pytest.mark.parametrize("name", ["photo.jpg", "photo.bin", "photo.npz", "photo.txt"])
def test_content_goes_before_the_file_name(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / "photo.png", few_colours()).rename(tmp_path / name)
    assert np.array_equal(anybind.read(path), few_colours())


def test_a_palette_gives_its_colours(tmp_path: Path) -> None:
    indexed = PIL.Image.frombytes("P", (3, 1), bytes([2, 0, 1]))
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert anybind.read(save(tmp_path / "palette.png", indexed)).tolist() == [
        [[70, 80, 90], [10, 20, 30], [40, 50, 60]]
    ]


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_the_transparent_colour_of_a_palette_is_white(tmp_path: Path, suffix: str) -> None:
    indexed = PIL.Image.frombytes("P", (3, 1), bytes([2, 0, 1]))
    indexed.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    path = save(tmp_path / f"palette.{suffix}", indexed, transparency=0)
    assert anybind.read(path).tolist() == [[[70, 80, 90], [255, 255, 255], [40, 50, 60]]]


def test_gray_is_three_equal_channels(tmp_path: Path) -> None:
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = anybind.read(save(tmp_path / "gray.png", gray))
    assert np.array_equal(picture, np.stack([gray, gray, gray], axis=-1))


def test_black_and_white_is_0_and_255(tmp_path: Path) -> None:
    picture = anybind.read(save(tmp_path / "bilevel.png", PIL.Image.fromarray(np.array([[True, False]]))))
    assert picture.tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_gray_is_scaled_to_8_bits(tmp_path: Path, suffix: str) -> None:
    levels = np.array([[0, 255, 256, 1000, 32_768, 65_279, 65_535]], dtype=np.uint16)
    picture = anybind.read(save(tmp_path / f"deep.{suffix}", levels))
    assert picture.dtype == np.uint8
    # The full range on the full range: v / 65535 * 255, to within one level.
    assert np.abs(picture[..., 0] - levels / 257).max() <= 1
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[0, -1].tolist() == [255, 255, 255]


def test_the_transparent_level_of_16_bit_gray_is_white(tmp_path: Path) -> None:
    levels = np.array([[0, 257 * 5, 257 * 90]], dtype=np.uint16)
    picture = anybind.read(save(tmp_path / "deep.png", levels, transparency=257 * 5))
    assert picture[0, :, 0].tolist() == [0, 255, 90]


def test_cmyk_is_shown_in_red_green_and_blue(tmp_path: Path) -> None:
    inks = np.random.default_rng(1).integers(0, 256, (6, 6, 4), dtype=np.uint8)
    picture = anybind.read(save(tmp_path / "print.tif", PIL.Image.fromarray(inks, mode="CMYK")))
    # Each ink takes its share of the light, and black takes some of all: R = (1 - C)(1 - K), and so on.
    light = 1 - inks.astype(np.float64) / 255
    np.testing.assert_allclose(picture, 255 * light[..., :3] * light[..., 3:], atol=1.01)


def test_a_cmyk_jpeg_is_not_shown_as_its_negative(tmp_path: Path) -> None:
    inks = np.zeros((16, 16, 4), dtype=np.uint8)
    inks[..., 0] = 255  # cyan alone
    picture = anybind.read(save(tmp_path / "print.jpg", PIL.Image.fromarray(inks, mode="CMYK"), quality=95))
    np.testing.assert_allclose(picture, np.broadcast_to([0, 255, 255], (16, 16, 3)), atol=4)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_what_is_transparent_lies_on_white(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    layer = np.random.default_rng(seed).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    layer[0, 0, 3], layer[0, 1, 3] = 0, 255
    path = save(tmp_path_factory.getbasetemp() / "layer.png", layer)
    picture = anybind.read(path)
    np.testing.assert_allclose(picture, on_white(layer[..., :3], layer[..., 3]), atol=1.01)
    # Nothing of the colour below full transparency shows, and all of it above full opacity.
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[0, 1].tolist() == layer[0, 1, :3].tolist()


def test_transparent_gray_lies_on_white(tmp_path: Path) -> None:
    layer = np.array([[[0, 0], [0, 255], [100, 255], [0, 51]]], dtype=np.uint8)
    picture = anybind.read(save(tmp_path / "layer.png", PIL.Image.fromarray(layer, mode="LA")))
    assert picture[0, :, 0].tolist() == [255, 0, 100, 204]


def held(picture: np.ndarray, orientation: int) -> np.ndarray:
    """The picture upright, from the picture as stored and the number that EXIF gives the way it lies."""
    return {
        1: picture,
        2: picture[:, ::-1],  # mirrored left to right
        3: picture[::-1, ::-1],  # upside down
        4: picture[::-1],  # mirrored top to bottom
        5: picture.transpose(1, 0, 2),  # mirrored at the main diagonal
        6: np.rot90(picture, -1),  # to be turned clockwise
        7: picture[::-1, ::-1].transpose(1, 0, 2),  # mirrored at the other diagonal
        8: np.rot90(picture, 1),  # to be turned counterclockwise
    }[orientation]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_a_picture_that_says_how_the_camera_was_held_is_turned_upright(
    tmp_path: Path, suffix: str, orientation: int
) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(tmp_path / f"turned.{suffix}", few_colours(), exif=exif, **LOSSLESS[suffix])
    assert np.array_equal(anybind.read(path), held(few_colours(), orientation))


def test_a_jpeg_that_says_how_the_camera_was_held_is_turned_upright(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    picture = anybind.read(save(tmp_path / "turned.jpg", slope(), exif=exif, quality=95))
    assert picture.shape == (32, 24, 3)
    assert np.abs(picture.astype(int) - held(slope(), 6)).max() <= 12


def test_16_bit_gray_is_turned_upright(tmp_path: Path) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = 6
    levels = np.arange(35, dtype=np.uint16).reshape(5, 7) * 257
    picture = anybind.read(save(tmp_path / "deep.png", levels, exif=exif))
    assert picture[..., 0].tolist() == np.rot90(levels // 257, -1).tolist()


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path: Path, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION] = orientation
    path = save(tmp_path / "turned.png", few_colours(), exif=exif)
    assert np.array_equal(anybind.read(path), few_colours())


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_of_several_frames_the_first_is_read(tmp_path: Path, suffix: str) -> None:
    first, second = (PIL.Image.new("RGB", (5, 4), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / f"film.{suffix}", save_all=True, append_images=[second], **options)
    with PIL.Image.open(tmp_path / f"film.{suffix}") as film:
        assert film.n_frames == 2
    assert (anybind.read(tmp_path / f"film.{suffix}") == [255, 0, 0]).all()


@quiet
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_picture_is_refused_and_named(tmp_path: Path, suffix: str) -> None:
    whole = save(tmp_path / f"whole.{suffix}", few_colours((12, 14)), **FORMATS[suffix]).read_bytes()
    path = tmp_path / f"cut.{suffix}"
    for share in range(1, 96):
        path.write_bytes(whole[: max(1, share * len(whole) // 100)])
        with pytest.raises(BadInput, match=rf"cut\.{suffix}"):
            anybind.read(path)


@quiet
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_cut_at_any_byte_is_refused_or_whole_but_never_partly_gray(tmp_path: Path, suffix: str) -> None:
    # In some formats the last bytes hold no pixels, only the mark that the file ends here.
    path = save(tmp_path / f"picture.{suffix}", few_colours(), **FORMATS[suffix])
    whole, picture = path.read_bytes(), anybind.read(path)
    others = []
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        try:
            if not np.array_equal(anybind.read(path), picture):
                others.append(end)
        except BadInput:
            continue
    assert others == []


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_picture_with_a_bit_turned_over_is_read_or_refused_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    exif = PIL.Image.Exif()
    exif[ORIENTATION], exif[0x010E] = 6, "a duck"
    options = FORMATS[suffix] if suffix in ("gif", "bmp") else {**FORMATS[suffix], "exif": exif}
    path = save(tmp_path / f"bent.{suffix}", few_colours(), **options)
    whole, failed = path.read_bytes(), {}
    for at in range(len(whole)):
        for bit in (0, 2):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            try:
                anybind.read(path)
            except BadInput:
                continue
            except Exception as error:
                failed.setdefault(f"{type(error).__name__}: {error}", f"bit {bit} of byte {at}")
    assert failed == {}


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tif"])
def test_a_text_named_as_a_picture_is_refused_and_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"note.{suffix}"
    path.write_text("a rubber duck\n")
    with pytest.raises(BadInput, match=rf"note\.{suffix} is no \.{suffix} file"):
        anybind.read(path)
    with pytest.raises(BadInput, match=rf"note\.{suffix}"):
        anybind.read(path, reader="picture")


def test_a_picture_is_not_written_to_an_ending_of_no_picture_format(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"picture\.npz"):
        anybind.write(few_colours(), tmp_path / "picture.npz")
    assert list(tmp_path.iterdir()) == []


def test_an_array_of_red_green_and_blue_bytes_is_an_image() -> None:
    assert infer_modality(few_colours()) == "image"


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
def test_an_array_of_another_shape_or_type_is_no_image(array: np.ndarray) -> None:
    assert not find_modality("image").accepts(array)


@pytest.mark.parametrize("shape", [(0, 7, 3), (5, 0, 3)])
def test_a_picture_without_pixels_is_refused_and_its_shape_is_named(shape: tuple[int, int, int]) -> None:
    with pytest.raises(BadInput, match=rf"no pixels \(shape \({shape[0]}, {shape[1]}, 3\)\)"):
        find_modality("image").check(np.zeros(shape, dtype=np.uint8))


def test_a_picture_of_one_pixel_is_enough() -> None:
    find_modality("image").check(np.zeros((1, 1, 3), dtype=np.uint8))


def test_a_picture_is_shown_as_it_is() -> None:
    assert np.array_equal(find_modality("image").show(few_colours()), few_colours())


def test_no_picture_is_made_from_a_text() -> None:
    with pytest.raises(BadInput, match="no image can be made from text"):
        anybind.derive("image", "a duck")


def test_a_part_of_a_picture_can_be_read(tmp_path: Path) -> None:
    picture = few_colours((5, 7))
    path = save(tmp_path / "a.png", picture)
    assert (anybind.read(path, box=(1, 0, 4, 5)) == picture[0:5, 1:4]).all()
    assert (anybind.read(path, box=[0, 0, 7, 5]) == picture).all()


def test_a_part_is_of_the_upright_picture(tmp_path: Path) -> None:
    picture = PIL.Image.fromarray(slope((24, 32)))
    exif = picture.getexif()
    exif[ORIENTATION] = 6  # turned by a quarter
    picture.save(tmp_path / "a.png", exif=exif)
    whole = anybind.read(tmp_path / "a.png")
    assert whole.shape == (32, 24, 3)
    assert (anybind.read(tmp_path / "a.png", box=(0, 20, 10, 32)) == whole[20:32, 0:10]).all()


@pytest.mark.parametrize("box", [(0, 0, 8, 5), (-1, 0, 3, 3), (3, 0, 3, 3), (0, 0, 3), (4, 4, 2, 5)])
def test_a_part_that_is_not_in_the_picture_is_refused(tmp_path: Path, box: tuple[int, ...]) -> None:
    path = save(tmp_path / "a.png", few_colours((5, 7)))
    with pytest.raises(BadOption, match=r"a\.png is 7x5 pixels"):
        anybind.read(path, box=box)
