"""Conversion of polarity codes, which differ between column formats, to booleans: True for ON events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from anybind.plugin import BadInput, BadOption

UNSIGNED_MINUS_ONE = frozenset((*(2**bits - 1 for bits in (8, 16, 32, 64)), 2**64))
"""The code -1 after conversion to an unsigned type; the last one as a float, which cannot represent 2^64 - 1."""
MAX_LISTED_CODES = 5
"""Maximum number of codes that an error lists."""
SAMPLE_EVENTS = 256
"""Events that are compared first: most columns with more than two codes show them at their beginning."""

PolarityOption = str | Sequence[float] | None
"""The ON code, then the OFF codes: `"2,1"` or `(2, 1)`; None for the notations whose meaning is certain."""


def parse_polarity_codes(polarity: PolarityOption) -> tuple[float, ...] | None:
    """Parse the option `polarity`: the ON code first, then one or several OFF codes; raise `BadOption` if invalid."""
    if polarity is None:
        return None
    fields = polarity.split(",") if isinstance(polarity, str) else list(np.ravel(np.asarray(polarity, object)))
    try:
        codes = [int(field) if isinstance(field, str) else field for field in fields]
        valid = len(set(codes)) == len(codes) > 1 and all(float(code).is_integer() for code in codes)
    except (TypeError, ValueError, OverflowError):
        valid, codes = False, []
    if not valid:
        raise BadOption(
            f"polarity: expected the ON code, then the OFF code, such as 1,0 or 2,1 (whole numbers), got {polarity!r}"
        )
    return tuple(int(code) for code in codes)


def is_certain(codes: Iterable[float]) -> bool:
    """Return whether 1 certainly means ON: codes 0 and 1, -1 and 1, one of these, or 1 and -1 stored unsigned."""
    codes = set(codes)
    return codes <= {0, 1} or codes <= {-1, 1} or (len(codes) == 2 and 1 in codes and bool(codes & UNSIGNED_MINUS_ONE))


def find_codes(column: np.ndarray, low: float, high: float, codes: Iterable[float] = ()) -> set[float] | None:
    """Return the at most two codes among `codes` and the numbers of a column, with its extremes; None for more."""
    pair = {*codes, low, high}
    if len(pair) > 2 or not low <= high:  # the latter is a NaN
        return None
    if low == high or (column.dtype.kind in "biu" and high == low + 1):
        return pair
    if column.dtype.kind == "i" and high == low + 2:  # -1 and 1: one comparison is enough
        return pair if not (column == low + 1).any() else None
    for part in (column[:SAMPLE_EVENTS], column):
        if np.count_nonzero(part == low) + np.count_nonzero(part == high) < len(part):
            return None
    return pair


class PolarityDecoder:
    """A converter of the polarity codes of one recording, chunk by chunk, to booleans.

    Args:
        polarity: the ON code, then the OFF code or codes, such as `"2,1"`; default: booleans, 0 and 1, -1 and 1, and 1
            with -1 stored unsigned (255, 65535, 4294967295, 2^64 - 1).

    Raises:
        BadOption: other than whole, different numbers.
    """

    def __init__(self, polarity: PolarityOption = None) -> None:
        self._given = parse_polarity_codes(polarity)
        self._pair: set[float] = set()

    def decode(self, column: np.ndarray, read_all: Callable[[], Iterable[np.ndarray]] | None = None) -> np.ndarray:
        """Convert the codes of the next events, (n,), to (n,) bool, True for ON; booleans are returned unchanged.

        Args:
            column: the codes.
            read_all: function that yields the codes of the whole recording in parts; called only if those so far have
                no certain meaning.

        Raises:
            BadInput: codes of uncertain meaning, or other than the codes of the option; the message lists them.
        """
        if column.dtype.kind not in "biuf":
            raise BadInput(f"column p: expected numbers, got {column.dtype}")
        if self._given:
            return self._decode_given(column, self._given)
        if column.dtype == np.bool_ or not column.size:
            return column.astype(np.bool_, copy=False)
        pair = find_codes(column, column.min().item(), column.max().item(), self._pair)
        for other in read_all() if read_all and pair and pair <= UNSIGNED_MINUS_ONE else ():
            if pair is None or is_certain(pair):
                break
            pair = find_codes(other, other.min().item(), other.max().item(), pair) if other.size else pair
        if pair is None or not is_certain(pair):
            raise BadInput(_describe_codes(column, self._pair))
        self._pair = pair
        if column.dtype.kind != "f" and pair <= {0, 1}:
            return column.view(np.bool_) if column.dtype.itemsize == 1 else column.astype(np.bool_)
        return column == 1

    def _decode_given(self, column: np.ndarray, codes: Sequence[float]) -> np.ndarray:
        on = column == codes[0]
        expected = on.copy()
        for code in codes[1:]:
            expected |= column == code
        if not expected.all():
            unexpected = _list_codes(column[~expected])
            raise BadInput(f"polarity codes {unexpected}: expected {', '.join(map(str, codes))} as given by polarity=")
        return on


def _describe_codes(column: np.ndarray, earlier: Iterable[float]) -> str:
    return (
        f"polarity codes {_list_codes(column, earlier)}: expected 0 and 1, or -1 and 1;"
        " name the ON code and then the OFF code or codes, such as polarity='2,1', or convert them to booleans"
    )


def _list_codes(column: np.ndarray, earlier: Iterable[float] = ()) -> str:
    codes = sorted({*earlier, *np.unique(column)[: MAX_LISTED_CODES + 1].tolist()})
    more = ", ..." if len(codes) > MAX_LISTED_CODES else ""
    return ", ".join(f"{code:.20g}" for code in codes[:MAX_LISTED_CODES]) + more
