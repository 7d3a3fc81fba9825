"""Images of representation arrays."""

from __future__ import annotations

import numpy as np
import pytest

from anybind_events.representations.images import MAX_SIDE, ColorScale, colorize_frame, draw_red_blue, enlarge_image

WHITE, BLACK, RED, BLUE = [255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]


def render_row(channels: list, **options: int) -> np.ndarray:
    """Render an array of one row, at one pixel per array element."""
    frame = np.array(channels, np.float32)[:, None]
    image = colorize_frame(frame, ColorScale.from_frames([frame]), **options)
    step = image.shape[1] // frame.shape[2]
    return image[0, ::step]


def test_one_channel_is_gray() -> None:
    assert render_row([[0, 0.4, 1]]).tolist() == [BLACK, [102, 102, 102], WHITE]


def test_one_signed_channel_is_red_above_0_and_blue_below_on_white() -> None:
    assert render_row([[-1, 0, 1]]).tolist() == [BLUE, WHITE, RED]


def test_two_channels_are_off_in_blue_and_on_in_red_and_both_are_black() -> None:
    assert render_row([[2, 0, 0, 2], [0, 0, 2, 2]]).tolist() == [BLUE, WHITE, RED, BLACK]


def test_three_channels_are_red_green_and_blue() -> None:
    assert render_row([[1, 0, 0.2], [0, 1, 0.2], [0, 0, 0.2]]).tolist() == [[255, 0, 0], [0, 255, 0], [51, 51, 51]]


def test_three_signed_channels_map_0_to_the_middle() -> None:
    assert render_row([[-1, 0, 1]] * 3).tolist() == [BLACK, [128, 128, 128], WHITE]


def test_a_hot_pixel_does_not_darken_the_others() -> None:
    counts = [[3.0] * 300 + [100_000.0]]
    assert render_row(counts)[0].tolist() == WHITE


def test_fractions_dimmed_by_a_hot_pixel_are_stretched() -> None:
    assert render_row([[0.01] * 300 + [0.99]])[0].tolist() == WHITE


def test_frames_of_one_animation_share_a_colour_scale() -> None:
    faint, strong = (np.full((1, 1, 1), value, np.float32) for value in (10, 20))
    tone = ColorScale.from_frames([faint, strong])
    assert colorize_frame(faint, tone)[0, 0, 0] == pytest.approx(128, abs=1)
    assert colorize_frame(strong, tone)[0, 0, 0] >= 253


def test_an_array_of_zeros_can_be_rendered() -> None:
    assert (render_row([[0, 0]]) == 0).all()
    assert (render_row([[0, 0], [0, 0]]) == 255).all()


@pytest.mark.parametrize(("size", "factor"), [((34, 34), 21), ((180, 240), 3), ((260, 346), 2), ((720, 1280), 1)])
def test_small_images_are_enlarged_by_the_largest_integer_factor(size: tuple[int, int], factor: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    large = enlarge_image(image, MAX_SIDE)
    assert large.shape == (size[0] * factor, size[1] * factor, 3)
    assert np.array_equal(large[::factor, ::factor], image)
    assert np.array_equal(large[factor - 1 :: factor, factor - 1 :: factor], image)


def test_more_than_three_channels_are_panels_side_by_side() -> None:
    frame = np.zeros((5, 30, 40), np.float32)
    for number in range(5):
        frame[number, :, : number + 1] = 1
    sheet = colorize_frame(frame, ColorScale.from_frames([frame]))
    height, width = sheet.shape[:2]
    assert width > height
    black = (sheet == 0).all(axis=2)
    assert black[: height // 2, : width // 3].any()
    assert black[height // 2 :, width // 3 : 2 * width // 3].any()
    assert not (sheet[height // 2 :, 2 * width // 3 + 8 :] < 200).any()  # five panels in a grid of six


def test_panels_of_equal_channels_differ_only_in_their_number() -> None:
    frame = np.ones((4, 30, 40), np.float32)
    sheet = colorize_frame(frame, ColorScale.from_frames([frame])).astype(int)
    panels = [sheet[y : y + 270, x : x + 360] for y in (8, 8 + 270 + 8 + 16) for x in (8, 8 + 360 + 8)]
    labels = [panel[:16].tobytes() for panel in panels]
    assert len(set(labels)) == 4
    assert all(np.array_equal(panel[16:260], panels[0][16:260]) for panel in panels)


def test_views_have_a_panel_each_in_their_own_colours() -> None:
    views = np.zeros((6, 30, 40), np.float32)
    views[0], views[4] = 1, 1  # the first red, the second green
    sheet = colorize_frame(views, ColorScale.from_frames([views]), n_views=2)
    colours = {tuple(colour) for colour in sheet.reshape(-1, 3)}
    assert {(255, 0, 0), (0, 255, 0)} <= colours


def test_red_and_blue_saturate_at_full_scale() -> None:
    image = draw_red_blue(np.array([[0, 4]]), np.array([[2, 0]]), full_scale=4)
    assert image.tolist() == [[[255, 128, 128], BLUE]]
