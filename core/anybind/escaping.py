"""Escapes for text that is printed: control, escape and bidirectional characters cannot act on a terminal."""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\ud800-\\udfff\\U000e0000-\\U000e007f]"
)
"""Control characters, bidirectional marks, invisible characters, line separators and lone surrogates.

Joiners (U+200C, U+200D) are kept: Persian text and emoji need them.
"""
SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape_text(text: str, keep: str = "") -> str:
    r"""Return a text with unsafe characters as escapes such as `\x1b`, `\n` and `\u202e`.

    Args:
        text: the text. Bytes of a file name that are not UTF-8 (surrogates U+DC80 to U+DCFF) become `\x80` to `\xff`.
        keep: unsafe characters that stay, such as the line breaks of a traceback.
    """
    return UNSAFE.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    if code < 0x100:
        return SHORT_ESCAPES.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escape_json(text: str) -> str:
    r"""Return serialised JSON with unsafe characters as `\uXXXX`, so that it parses to the same values."""
    return UNSAFE.sub(lambda match: _escape_json(ord(match[0])), text)


def _escape_json(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
