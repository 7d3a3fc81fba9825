"""Compiled loops over the pixels of a simulated sensor and over their events.

They share one module because numba's cache on disk does not detect changes of another module.
"""

from __future__ import annotations

import numpy as np

from anybind.plugin import kernel

DIGIT_BITS = 18
"""Bits per radix-sort pass: times within an eighth of a second."""


@kernel
def emit_linear_events(
    pixel: int, before: float, after: float, reference: np.ndarray, step: float, on: bool,
    start: float, end: float, pixels: np.ndarray, codes: np.ndarray, n_events: int,
) -> int:  # fmt: skip
    """Emit the events of a pixel that changes linearly from `before` to `after`, without a refractory period.

    Its reference moves by the threshold `step` at each crossing.
    """
    change = after - reference[pixel] if on else reference[pixel] - after
    count = int(np.floor(change / step))
    sign = 1.0 if on else -1.0
    level = np.float64(reference[pixel])
    for number in range(1, count + 1):
        fraction = 1.0
        # Rounding may defer a crossing to the next step, in which the pixel may not change: the event is at its end.
        if after != before:
            fraction = (level + sign * number * step - before) / np.float64(after - before)
            fraction = min(max(fraction, 0.0), 1.0)
        pixels[n_events] = pixel
        codes[n_events] = 2 * np.int64(np.rint(start + fraction * (end - start))) + (0 if on else 1)
        n_events += 1
    reference[pixel] = np.float32(level + sign * count * step)
    return n_events


@kernel
def emit_refractory_events(
    pixel: int, before: float, current: float, reference: np.ndarray, off_threshold: float, on_threshold: float,
    blind_until: np.ndarray, start: float, end: float, refractory: float, leak: float,
    pixels: np.ndarray, codes: np.ndarray, n_events: int,
) -> int:  # fmt: skip
    """Emit the events of a pixel with a refractory period after each event."""
    time, brightness, level = start, np.float64(before), np.float64(reference[pixel])
    if blind_until[pixel] >= end:
        return n_events
    if blind_until[pixel] >= start:
        time = blind_until[pixel]
        level = brightness = before + (current - before) * (time - start) / (end - start)
        blind_until[pixel] = -np.inf
    while True:
        lift = leak * (end - time) * on_threshold
        change = current + lift - level
        is_on = change >= on_threshold
        if not is_on and -change < off_threshold:
            reference[pixel] = np.float32(level - lift)
            return n_events
        path = current + lift - brightness
        fraction = (level + (on_threshold if is_on else -off_threshold) - brightness) / path if path != 0.0 else 1.0
        time += min(max(fraction, 0.0), 1.0) * (end - time)
        pixels[n_events] = pixel
        codes[n_events] = 2 * np.int64(np.rint(time)) + (0 if is_on else 1)
        n_events += 1
        time += refractory
        if time >= end:
            blind_until[pixel] = time
            return n_events
        level = brightness = before + (current - before) * (time - start) / (end - start)


@kernel
def find_active_pixels(
    current: np.ndarray, reference: np.ndarray, off_thresholds: np.ndarray, on_thresholds: np.ndarray,
    blind_until: np.ndarray, start: float, end: float, leak: float, flags: np.ndarray, active: np.ndarray,
) -> int:  # fmt: skip
    """List the pixels above a threshold at the `end`, or refractory at the `start`; return their number.

    The reference of all others decreases by the leak. `flags`, (n,) bool, is scratch.
    """
    leaked = np.float32(leak * (end - start))
    for pixel in range(current.size):
        change = current[pixel] + leaked * on_thresholds[pixel] - reference[pixel]
        flags[pixel] = (change >= on_thresholds[pixel]) | (-change >= off_thresholds[pixel])
    for pixel in range(blind_until.size):
        flags[pixel] |= blind_until[pixel] >= start
    if leaked > 0.0:
        for pixel in range(current.size):
            reference[pixel] -= np.float32(0.0) if flags[pixel] else leaked * on_thresholds[pixel]
    count = 0
    for pixel in range(current.size):
        active[count] = pixel
        count += flags[pixel]  # branch-free: the branch would be mispredicted often
    return count


@kernel
def emit_events(
    active: np.ndarray, previous: np.ndarray, current: np.ndarray, reference: np.ndarray,
    off_thresholds: np.ndarray, on_thresholds: np.ndarray, blind_until: np.ndarray,
    start: float, end: float, refractory: float, leak: float,
    first: int, pixels: np.ndarray, codes: np.ndarray, n_events: int,
) -> tuple[int, int]:  # fmt: skip
    """Emit the events of active pixels, from index `first` on, into `pixels` and `codes` from `n_events` on.

    A code is twice the time in microseconds, plus 1 for an OFF event. `reference` and `blind_until` (a time, or -inf;
    empty without a refractory period) are updated.

    Returns:
        the index of the first pixel whose events may not fit into the arrays (the number of active pixels when all are
        done), and the number of events so far.
    """
    leaked = np.float32(leak * (end - start))
    for index in range(max(first, 0), active.size):
        pixel = active[index]
        on_threshold, off_threshold, last = on_thresholds[pixel], off_thresholds[pixel], previous[pixel]
        lift = leaked * on_threshold
        after = current[pixel] + lift
        change = after - reference[pixel]
        if (pixels.size - n_events - 2) * min(on_threshold, off_threshold) < abs(change) + abs(after - last):
            return index, n_events
        if refractory > 0.0:
            n_events = emit_refractory_events(
                pixel, last, current[pixel], reference, off_threshold, on_threshold, blind_until,
                start, end, refractory, leak, pixels, codes, n_events,
            )  # fmt: skip
        else:
            step = on_threshold if change >= on_threshold else off_threshold
            n_events = emit_linear_events(
                pixel, last, after, reference, step, change >= on_threshold, start, end, pixels, codes, n_events
            )
            reference[pixel] -= lift
    return active.size, n_events


@kernel
def sort_events(
    pixels: np.ndarray, codes: np.ndarray, min_code: int, width: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the columns x, y, t, p of events sorted by their codes, none below `min_code`; the sort is stable.

    A radix sort, since the codes of a step lie close together.
    """
    span = 0
    for code in codes:
        span = max(span, code - min_code)
    mask = (1 << DIGIT_BITS) - 1
    shift = 0
    while shift == 0 or span >> shift:
        positions = np.zeros(min(span >> shift, mask) + 2, np.int32)
        for code in codes:
            positions[(((code - min_code) >> shift) & mask) + 1] += 1
        for digit in range(1, positions.size):
            positions[digit] += positions[digit - 1]
        sorted_pixels, sorted_codes = np.empty_like(pixels), np.empty_like(codes)
        for event in range(codes.size):
            digit = ((codes[event] - min_code) >> shift) & mask
            sorted_pixels[positions[digit]], sorted_codes[positions[digit]] = pixels[event], codes[event]
            positions[digit] += 1
        pixels, codes = sorted_pixels, sorted_codes
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
def sample_window(
    image: np.ndarray, x: float, y: float, min_level: float, window: np.ndarray, clipped: np.ndarray
) -> None:
    """Sample a window of an image at a sub-pixel corner (x, y), bilinear; and its levels clipped at `min_level`."""
    left, top = int(np.floor(x)), int(np.floor(y))
    right, low = np.float32(x - left), np.float32(y - top)
    near_left, near_top, floor = np.float32(1) - right, np.float32(1) - low, np.float32(min_level)
    height, width = window.shape
    for row in range(height):
        above, below = image[top + row, left : left + width], image[top + row + 1, left : left + width]
        above_right = image[top + row, left + 1 : left + width + 1]
        below_right = image[top + row + 1, left + 1 : left + width + 1]
        for column in range(width):
            left_level = above[column] * near_top + below[column] * low
            right_level = above_right[column] * near_top + below_right[column] * low
            gray = left_level * near_left + right_level * right
            window[row, column] = gray
            clipped[row, column] = max(gray, floor)


@kernel
def linearize_dark(gray: np.ndarray, linear_below: float, log: np.ndarray) -> None:
    """Replace the log of levels up to `linear_below` by a line through 0 that is continuous there."""
    slope = np.float32(np.log(linear_below) / linear_below)
    for row in range(gray.shape[0]):
        for column in range(gray.shape[1]):
            if gray[row, column] <= linear_below:
                log[row, column] = gray[row, column] * slope


@kernel
def smooth_step(
    input_before: np.ndarray, input_after: np.ndarray, output_before: np.ndarray,
    turns: np.ndarray, decay: np.ndarray, output: np.ndarray,
) -> None:  # fmt: skip
    """Write the output of a first-order low pass to `output`, exact for an input that is linear in time.

    All arrays are (height, width) float32; `turns` is the duration over the time constant, `decay` is exp(-turns).
    """
    for row in range(output.shape[0]):
        for column in range(output.shape[1]):
            lag = np.divide(input_after[row, column] - input_before[row, column], turns[row, column])
            offset = output_before[row, column] - input_before[row, column] + lag
            output[row, column] = input_after[row, column] - lag + offset * decay[row, column]


@kernel
def limit_event_rate(times: np.ndarray, rate: float, capacity_us: float, state: np.ndarray) -> np.ndarray:
    """Return which events an arbiter of `rate` events per microsecond reads out: a token bucket.

    The bucket holds the events of `capacity_us` microseconds, at least 1. `state` is the fill of the bucket and the
    time (microseconds) of its last update; it is updated.
    """
    mask = np.empty(times.size, np.bool_)
    tokens, last, full = state[0], state[1], max(1.0, rate * capacity_us)
    for event in range(times.size):
        tokens = min(full, tokens + (times[event] - last) * rate)
        last = np.float64(times[event])
        mask[event] = tokens >= 1.0
        if mask[event]:
            tokens -= 1.0
    state[0], state[1] = tokens, last
    return mask


@kernel
def map_levels(frame: np.ndarray, levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Write the level of each pixel's gray value to `values`, float32 of the frame's shape."""
    for row in range(frame.shape[0]):
        grays, row_values = frame[row], values[row]
        for column in range(grays.size):
            row_values[column] = levels[grays[column]]
    return values


@kernel
def list_changed_pixels(flags: np.ndarray, frame: np.ndarray, previous: np.ndarray, width: int, count: int) -> tuple:
    """Return columns and rows (uint16) of the changed pixels, and which of them are brighter; arrays are flat.

    Eight pixels are tested at once, since most do not change.
    """
    x, y = np.empty(count, np.uint16), np.empty(count, np.uint16)
    on = np.empty(count, np.bool_)
    whole, n_events = len(flags) // 8 * 8, 0
    eights = flags[:whole].view(np.uint64)
    for eight in range(len(eights) + 1):
        if eight < len(eights) and eights[eight] == 0:
            continue
        for i in range(8 * eight, min(8 * eight + 8, len(flags))):
            if flags[i]:
                row = i // width
                x[n_events], y[n_events], on[n_events] = i - row * width, row, frame[i] > previous[i]
                n_events += 1
    return x, y, on
