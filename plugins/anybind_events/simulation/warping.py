"""Compiled warp of an image by a homography, for general motion."""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel


@kernel
def warp_image(
    image: np.ndarray, homography: np.ndarray, top: int, bottom: int, left: int, right: int, view: np.ndarray
) -> None:
    """Sample an image at the homography of each pixel of a rectangle of the view, bilinear, clamped to the image.

    Args:
        image: (rows, columns) float32, 2x2 or more.
        homography: (3, 3) float64, from pixels of the view (x, y, 1) to pixels of the image.
        top, bottom, left, right: the rectangle's rows and columns, the last ones excluded.
        view: (height, width) float32, written inside the rectangle.
    """
    rows, columns = image.shape
    flat, below = image.ravel(), np.uint64(columns)
    max_x, max_y = np.float32(columns - 1), np.float32(rows - 1)
    last_x, last_y, row_length = np.int32(columns - 2), np.int32(rows - 2), np.int32(columns)
    zero, one, next_column = np.float32(0), np.float32(1), np.uint64(1)
    step_x, step_y, step_z = homography[:, 0].astype(np.float32)
    indices = np.empty(right - left, np.uint32)
    shares_x, shares_y = np.empty(right - left, np.float32), np.empty(right - left, np.float32)
    for row in range(top, bottom):
        x, y, z = (homography[:, 0] * left + homography[:, 1] * row + homography[:, 2]).astype(np.float32)
        # Two loops, since the first is vectorised by the compiler: with `np.divide` and comparisons instead of / (which
        # tests for 0), `min` and `max`.
        for column in range(right - left):
            offset = np.float32(np.int32(column))
            nearness = np.divide(one, z + step_z * offset)
            image_x, image_y = (x + step_x * offset) * nearness, (y + step_y * offset) * nearness
            image_x = image_x if image_x > zero else zero
            image_y = image_y if image_y > zero else zero
            image_x = image_x if image_x < max_x else max_x
            image_y = image_y if image_y < max_y else max_y
            near_x, near_y = min(np.int32(image_x), last_x), min(np.int32(image_y), last_y)
            shares_x[column], shares_y[column] = image_x - np.float32(near_x), image_y - np.float32(near_y)
            indices[column] = near_y * row_length + near_x
        values = view[row, left:right]
        for column in range(right - left):
            index, share = np.uint64(indices[column]), shares_x[column]
            upper = flat[index] + share * (flat[index + next_column] - flat[index])
            index += below
            lower = flat[index] + share * (flat[index + next_column] - flat[index])
            values[column] = upper + shares_y[column] * (lower - upper)


@kernel
def blend_views(front: np.ndarray, opacity: np.ndarray, back: np.ndarray, view: np.ndarray) -> None:
    """Write `front`, already multiplied by its opacity, over `back` to `view`; all (height, width) float32."""
    for row in range(view.shape[0]):
        for column in range(view.shape[1]):
            view[row, column] = front[row, column] + (np.float32(1) - opacity[row, column]) * back[row, column]
