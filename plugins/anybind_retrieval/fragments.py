"""Windows of recordings as entries of an index: their time range and options as a URI fragment.

`#t=1.2,1.4` are the seconds of a window, as in W3C's media fragments; options that are not the default follow, those of
the file's reader as JSON: `#t=1.2,1.4&window=200ms&reader.time_unit="us"`, percent-encoded. An unchanged file that was
indexed with the default options has no fragment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode

from anybind.plugin import BadOption, windows

PREFIX = "#"
TIME = "t"
READER = "reader."
"""Prefix of the options of the file's reader."""
RESERVED = ("path", "reader")
"""Parameters of `anybind.read` beside the options of a reader: an index may be from an untrusted source."""


@dataclass(frozen=True)
class Fragment:
    """The part of a file that an entry is the embedding of.

    Attributes:
        options: the options that the recording was divided with.
        start_us, end_us: times of the window, microseconds after the start of the recording; None for a whole file.
        reader_options: options that the file was read with, JSON-like.
    """

    options: windows.WindowOptions
    start_us: int | None = None
    end_us: int | None = None
    reader_options: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The time range for people; empty for a whole file."""
        return "" if self.start_us is None or self.end_us is None else windows.format_range(self.start_us, self.end_us)

    @property
    def selection(self) -> windows.WindowOptions:
        """The options that give this window alone."""
        if self.start_us is None:
            return self.options
        return replace(
            self.options, start=f"{self.start_us}us", end=f"{self.end_us}us", window=windows.WHOLE, stride=""
        )

    def __str__(self) -> str:
        fields: dict[str, str] = {}
        if self.start_us is not None and self.end_us is not None:
            fields[TIME] = f"{windows.format_seconds(self.start_us)},{windows.format_seconds(self.end_us)}"
        fields |= {name: str(value) for name, value in self.options.to_dict().items() if name != "roi"}
        if self.options.roi is not None:
            fields["roi"] = ",".join(map(str, self.options.roi))
        fields |= {READER + name: json.dumps(value) for name, value in self.reader_options.items()}
        return PREFIX + urlencode(fields, safe=",") if fields else ""


WHOLE_FILE = Fragment(windows.WindowOptions())


def parse_fragment(text: str) -> Fragment | None:
    """Parse the text of an entry; None for any other text: the line of a text file."""
    if not text:
        return WHOLE_FILE
    if not text.startswith(PREFIX):
        return None
    try:
        fields = dict(parse_qsl(text.removeprefix(PREFIX), strict_parsing=True))
        reader_fields = [name for name in fields if name.startswith(READER)]
        reader_options = {name.removeprefix(READER): json.loads(fields.pop(name)) for name in reader_fields}
        roi = windows.parse_roi(fields.pop("roi", ""))
        times = [round(float(time) * 1e6) for time in fields.pop(TIME, "").split(",") if time]
        if len(times) not in (0, 2):
            return None
        start_us, end_us = times or (None, None)
        if not reader_options.keys().isdisjoint(RESERVED):
            return None
        return Fragment(windows.WindowOptions(roi=roi, **fields), start_us, end_us, reader_options)
    except (BadOption, RecursionError, TypeError, ValueError):
        return None
