"""Loops over the pixels of a simulated sensor and over their events, compiled.

They stand in one module, since what numba keeps on disk of a function does not notice changes of another module.
"""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel

DIGIT_BITS = 18
"""How many bits are sorted by in one go: the times within an eighth of a second."""


@kernel
def spread(
    pixel: int, before: float, after: float, reference: np.ndarray, step: float, rise: bool,
    start: float, end: float, pixels: np.ndarray, codes: np.ndarray, found: int,
) -> int:  # fmt: skip
    """Events of a pixel that goes in a straight line from `before` to `after` and is never blind.

    Its reference moves on by the threshold `step` as often as it has been crossed.
    """
    moved = after - reference[pixel] if rise else reference[pixel] - after
    count = int(np.floor(moved / step))
    sign = 1.0 if rise else -1.0
    level = np.float64(reference[pixel])
    for which in range(1, count + 1):
        share = 1.0
        # Rounding may leave a crossing to the next step, in which the pixel may stand still: then it fires at its end.
        if after != before:
            share = (level + sign * which * step - before) / np.float64(after - before)
            share = min(max(share, 0.0), 1.0)
        pixels[found] = pixel
        codes[found] = 2 * np.int64(np.rint(start + share * (end - start))) + (0 if rise else 1)
        found += 1
    reference[pixel] = np.float32(level + sign * count * step)
    return found


@kernel
def spaced(
    pixel: int, before: float, now: float, reference: np.ndarray, fall: float, rise: float, blind_until: np.ndarray,
    start: float, end: float, refractory: float, leak: float, pixels: np.ndarray, codes: np.ndarray, found: int,
) -> int:  # fmt: skip
    """Events of a pixel that is blind for `refractory` after each."""
    time, brightness, level = start, np.float64(before), np.float64(reference[pixel])
    if blind_until[pixel] >= end:
        return found
    if blind_until[pixel] >= start:
        time = blind_until[pixel]
        level = brightness = before + (now - before) * (time - start) / (end - start)
        blind_until[pixel] = -np.inf
    while True:
        lift = leak * (end - time) * rise
        moved = now + lift - level
        rises = moved >= rise
        if not rises and -moved < fall:
            reference[pixel] = np.float32(level - lift)
            return found
        way = now + lift - brightness
        share = (level + (rise if rises else -fall) - brightness) / way if way != 0.0 else 1.0
        time += min(max(share, 0.0), 1.0) * (end - time)
        pixels[found] = pixel
        codes[found] = 2 * np.int64(np.rint(time)) + (0 if rises else 1)
        found += 1
        time += refractory
        if time >= end:
            blind_until[pixel] = time
            return found
        level = brightness = before + (now - before) * (time - start) / (end - start)


@kernel
def find_busy(
    now: np.ndarray, reference: np.ndarray, falls: np.ndarray, rises: np.ndarray, blind_until: np.ndarray,
    start: float, end: float, leak: float, flags: np.ndarray, busy: np.ndarray,
) -> int:  # fmt: skip
    """List the pixels that have crossed a threshold by the `end`, or were blind at the `start`, in `busy`; how many.

    The reference of all others sinks by what leaks. `flags`, (n,) bool, is scratch.
    """
    leaked = np.float32(leak * (end - start))
    for pixel in range(now.size):
        moved = now[pixel] + leaked * rises[pixel] - reference[pixel]
        flags[pixel] = (moved >= rises[pixel]) | (-moved >= falls[pixel])
    for pixel in range(blind_until.size):
        flags[pixel] |= blind_until[pixel] >= start
    if leaked > 0.0:
        for pixel in range(now.size):
            reference[pixel] -= np.float32(0.0) if flags[pixel] else leaked * rises[pixel]
    count = 0
    for pixel in range(now.size):
        busy[count] = pixel
        count += flags[pixel]  # without a branch, of which the processor would guess many wrong
    return count


@kernel
def fire(
    busy: np.ndarray, before: np.ndarray, now: np.ndarray, reference: np.ndarray, falls: np.ndarray, rises: np.ndarray,
    blind_until: np.ndarray, start: float, end: float, refractory: float, leak: float,
    first: int, pixels: np.ndarray, codes: np.ndarray, found: int,
) -> tuple[int, int]:  # fmt: skip
    """Events of busy pixels, from place `first` on, in one step, into `pixels` and `codes` from `found` on.

    A code is twice the time in microseconds, plus 1 for a fall. `reference` and `blind_until` (a time, or -inf;
    empty where nobody is ever blind) move along.

    Returns:
        the place of the first pixel whose events may find no room any more (the count of busy pixels when all are
        done), and the count of events so far.
    """
    leaked = np.float32(leak * (end - start))
    for place in range(max(first, 0), busy.size):
        pixel = busy[place]
        rise, fall, last = rises[pixel], falls[pixel], before[pixel]
        lift = leaked * rise
        after = now[pixel] + lift
        moved = after - reference[pixel]
        if (pixels.size - found - 2) * min(rise, fall) < abs(moved) + abs(after - last):
            return place, found
        if refractory > 0.0:
            found = spaced(
                pixel, last, now[pixel], reference, fall, rise, blind_until,
                start, end, refractory, leak, pixels, codes, found,
            )  # fmt: skip
        else:
            step = rise if moved >= rise else fall
            found = spread(pixel, last, after, reference, step, moved >= rise, start, end, pixels, codes, found)
            reference[pixel] -= lift
    return busy.size, found


@kernel
def in_order(
    pixels: np.ndarray, codes: np.ndarray, least: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The columns x, y, t, p of events with these codes, none below `least`, by code; equal ones stay in order.

    A radix sort, since the codes of a step lie close together.
    """
    span = 0
    for code in codes:
        span = max(span, code - least)
    mask = (1 << DIGIT_BITS) - 1
    shift = 0
    while shift == 0 or span >> shift:
        places = np.zeros(min(span >> shift, mask) + 2, np.int32)
        for code in codes:
            places[(((code - least) >> shift) & mask) + 1] += 1
        for digit in range(1, places.size):
            places[digit] += places[digit - 1]
        moved_pixels, moved_codes = np.empty_like(pixels), np.empty_like(codes)
        for event in range(codes.size):
            digit = ((codes[event] - least) >> shift) & mask
            moved_pixels[places[digit]], moved_codes[places[digit]] = pixels[event], codes[event]
            places[digit] += 1
        pixels, codes = moved_pixels, moved_codes
        shift += DIGIT_BITS
    x, y = np.empty(codes.size, np.uint16), np.empty(codes.size, np.uint16)
    t, p = np.empty(codes.size, np.int64), np.empty(codes.size, np.bool_)
    row_of_pixels = np.uint32(width)
    for event in range(codes.size):
        row = pixels[event] // row_of_pixels
        x[event], y[event] = pixels[event] - row * row_of_pixels, row
        t[event], p[event] = codes[event] >> 1, codes[event] & 1 == 0
    return x, y, t, p


@kernel
def look(wide: np.ndarray, x: float, y: float, least: float, window: np.ndarray, bright: np.ndarray) -> None:
    """A window of a picture whose corner (x, y) lies between pixels, bilinear; and its levels, none below `least`."""
    left, top = int(np.floor(x)), int(np.floor(y))
    right, low = np.float32(x - left), np.float32(y - top)
    near_left, near_top, floor = np.float32(1) - right, np.float32(1) - low, np.float32(least)
    height, width = window.shape
    for row in range(height):
        above, below = wide[top + row, left : left + width], wide[top + row + 1, left : left + width]
        above_right = wide[top + row, left + 1 : left + width + 1]
        below_right = wide[top + row + 1, left + 1 : left + width + 1]
        for column in range(width):
            here = above[column] * near_top + below[column] * low
            beside = above_right[column] * near_top + below_right[column] * low
            gray = here * near_left + beside * right
            window[row, column] = gray
            bright[row, column] = max(gray, floor)


@kernel
def darken(gray: np.ndarray, linear_below: float, log: np.ndarray) -> None:
    """Replace the log of levels up to `linear_below` by a line through 0 that meets it there."""
    slope = np.float32(np.log(linear_below) / linear_below)
    for row in range(gray.shape[0]):
        for column in range(gray.shape[1]):
            if gray[row, column] <= linear_below:
                log[row, column] = gray[row, column] * slope


@kernel
def look_up(frame: np.ndarray, levels: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The level of each pixel's gray, in `found`, float32 of the frame's shape."""
    for row in range(frame.shape[0]):
        grays, here = frame[row], found[row]
        for column in range(grays.size):
            here[column] = levels[grays[column]]
    return found


@kernel
def changed(fires: np.ndarray, frame: np.ndarray, before: np.ndarray, width: int, count: int) -> tuple:
    """Columns and rows (uint16) of the pixels that fire, and which of them rose; all given as flat arrays.

    Eight pixels are looked at together, since most do not fire.
    """
    x, y = np.empty(count, np.uint16), np.empty(count, np.uint16)
    rises = np.empty(count, np.bool_)
    whole, found = len(fires) // 8 * 8, 0
    eights = fires[:whole].view(np.uint64)
    for eight in range(len(eights) + 1):
        if eight < len(eights) and eights[eight] == 0:
            continue
        for i in range(8 * eight, min(8 * eight + 8, len(fires))):
            if fires[i]:
                row = i // width
                x[found], y[found], rises[found] = i - row * width, row, frame[i] > before[i]
                found += 1
    return x, y, rises
