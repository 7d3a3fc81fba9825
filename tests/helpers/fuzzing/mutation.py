"""Mutations of a seed: edits of its bytes, fields, text, chunks and compressed parts, the same for the same number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from helpers.fuzzing.seeds import Seed
from helpers.fuzzing.structure import Chunk, Structure, find_structure

Edit = tuple[int, int, bytes]
"""Start and end of the bytes to replace, and what replaces them."""
KEEP_MAGIC = 0.93
"""Fraction of inputs whose first bytes stay those of the format."""
INNER = 0.6
"""Fraction of inputs in which a compressed part is mutated, if the file has one."""
MEND = 0.9
"""Fraction of inputs whose checksums are made right."""
MAX_INPUT_BYTES = 1 << 20
WORDS = (
    b"", b"0", b"-1", b"1", b"2", b"255", b"65535", b"65536", b"2147483647", b"4294967295", b"9223372036854775807",
    b"-9223372036854775808", b"18446744073709551616", b"1e400", b"-0.0", b"nan", b"inf", b"0x10", b"1.5", b"1e-320",
    b"9" * 50, b"\xc3\xa9", b"\xff\xfe", b"\0", b"None", b"True", b"'O'", b"x", b"\"", b"(", b"}", b"%s%n", b"1_000",
    b"\xd9\xa3", b"a" * 300, b"EVT4", b"<f8", b"|O", b">u2", b"<M8[us]", b"<U4", b"|V2000000000",
)  # fmt: skip
"""Replacements of numbers and words in text."""
SEPARATORS = (b",", b";", b"\t", b" ", b"  ", b"\n", b"\r\n", b":", b"=", b"#", b"%", b"//", b"\xef\xbb\xbf")
TOKEN = re.compile(rb"-?[0-9]+\.?[0-9]*|[A-Za-z_]+|[^A-Za-z0-9_]")


def mutate(seeds: Sequence[Seed], seed: Seed, random: Random) -> bytes:
    """Mutate a seed.

    Args:
        seeds: seeds of its family, of which chunks are spliced into it.
        seed: the seed.
        random: source of randomness.

    Returns:
        the content of a file, equal to the seed's in rare cases.
    """
    structure = find_structure(seed.content, seed.structure)
    if structure.inner and random.random() < INNER:
        part = random.choice(structure.inner)
        changed = _edit(part.content, find_structure(part.content, part.structure), random, None)
        packed = seed.content[: part.start] + part.pack(changed) + seed.content[part.end :]
        if random.random() < 0.8:
            return packed
        return mutate_bytes(packed, random)
    donor = random.choice(seeds)
    content = _edit(seed.content, structure, random, donor)
    if structure.mend and random.random() < MEND:
        content = structure.mend(content)
    return content[:MAX_INPUT_BYTES]


def mutate_bytes(content: bytes, random: Random) -> bytes:
    """Mutate a content of unknown structure."""
    return _edit(content, Structure(magic=0), random, None)


def _edit(content: bytes, structure: Structure, random: Random, donor: Seed | None) -> bytes:
    """Apply one to four edits that do not overlap."""
    keeps_magic = random.random() < KEEP_MAGIC
    edits: list[Edit] = []
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        edits += _choose_edit(content, structure, random, donor)
    edits.sort(key=lambda edit: edit[:2], reverse=True)
    before = len(content) + 1
    for start, end, new in edits:
        if end > before or (keeps_magic and start < structure.magic and end > 0):
            continue
        content = content[:start] + new + content[end:]
        before = start
    return content


def _choose_edit(content: bytes, structure: Structure, random: Random, donor: Seed | None) -> list[Edit]:
    """Choose an edit among those that the structure has places for."""
    choice = random.random()
    text_start, text_end = structure.text
    if text_end > text_start and choice < 0.4:
        return _edit_text(content, structure.text, random)
    if structure.chunks and choice < 0.7:
        return _edit_chunks(content, structure, random, donor)
    if choice < 0.95:
        return _edit_field(content, structure, random)
    if choice < 0.98:
        return [(_choose_place(content, structure, random), len(content), b"")]
    return [(len(content), len(content), random.randbytes(random.choice((1, 3, 8, 100))))]


def _choose_place(content: bytes, structure: Structure, random: Random) -> int:
    """Choose a byte: of the header, of the first bytes of a chunk, or any, as often each."""
    choice, (start, end) = random.random(), structure.header
    end = min(end, len(content))
    if choice < 0.33 and start < end:
        return random.randrange(start, end)
    if choice < 0.66 and structure.chunks:
        chunk = random.choice(structure.chunks)
        return min(chunk.start + random.randrange(32), max(len(content) - 1, 0))
    return random.randrange(max(len(content), 1))


def _edit_field(content: bytes, structure: Structure, random: Random) -> list[Edit]:
    """Flip a bit, or replace a number or some bytes."""
    at = _choose_place(content, structure, random)
    choice = random.random()
    if choice < 0.35 and at < len(content):
        return [(at, at + 1, bytes([content[at] ^ 1 << random.randrange(8)]))]
    if choice < 0.85:
        width = random.choice((1, 2, 2, 4, 4, 8))
        if random.random() < 0.7:
            at -= at % min(width, 4)
        order = structure.order if random.random() < 0.8 else random.choice(("little", "big"))
        return [(at, min(at + width, len(content)), _choose_number(content[at : at + width], width, order, random))]
    end = min(at + random.choice((1, 2, 4, 16)), len(content))
    return [(at, end, random.randbytes(random.choice((end - at, end - at, 0, 5))))]


def _choose_number(old: bytes, width: int, order: str, random: Random) -> bytes:
    """Choose a number at a limit of its type, or near the old one."""
    byte_order = "big" if order == "big" else "little"
    highest = (1 << 8 * width) - 1
    value = int.from_bytes(old, byte_order)
    near = (value + 1, value - 1, value * 2, value // 2, value << 8, value ^ highest, 1 << random.randrange(8 * width))
    limits = (0, 1, 2, 16, 127, 255, highest, highest >> 1, (highest >> 1) + 1, highest - 1, 0x7FFF, 0xFFFF, 1000)
    return (random.choice((*near, *limits)) & highest).to_bytes(width, byte_order)


def _edit_chunks(content: bytes, structure: Structure, random: Random, donor: Seed | None) -> list[Edit]:
    """Remove, repeat, exchange, empty or splice chunks, or change the length that one declares."""
    chunk = random.choice(structure.chunks)
    choice = random.random()
    if choice < 0.4 and chunk.length_at >= 0:
        return [_change_length(content, chunk, random)]
    if choice < 0.5:
        return [(chunk.start, chunk.end, b"")]
    if choice < 0.65:
        copies = random.choice((1, 1, 1, 2, 10, 100 if chunk.end - chunk.start < 4096 else 1))
        return [(chunk.start, chunk.start, content[chunk.start : chunk.end] * copies)]
    if choice < 0.8:
        other = random.choice(structure.chunks)
        spans = (chunk, other) if chunk.start < other.start else (other, chunk)
        if spans[0].end <= spans[1].start:
            first, second = (content[each.start : each.end] for each in spans)
            return [(spans[0].start, spans[0].end, second), (spans[1].start, spans[1].end, first)]
    if choice < 0.9 and donor is not None:
        others = find_structure(donor.content, donor.structure).chunks
        if others:
            other = random.choice(others)
            end = chunk.end if random.random() < 0.5 else chunk.start
            return [(chunk.start, end, donor.content[other.start : other.end])]
    at = random.randrange(chunk.start, max(chunk.end, chunk.start + 1))
    return [(at, min(at + random.choice((1, 2, 4, 8)), len(content)), b"")]


def _change_length(content: bytes, chunk: Chunk, random: Random) -> Edit:
    start, end = chunk.length_at, min(chunk.length_at + chunk.length_bytes, len(content))
    return start, end, _choose_number(content[start:end], end - start, chunk.order, random) if end > start else b""


def _edit_text(content: bytes, span: tuple[int, int], random: Random) -> list[Edit]:
    """Replace, remove, repeat or separate a word of text."""
    lines = content[span[0] : span[1]]
    begin = random.randrange(max(len(lines), 1))
    token = TOKEN.search(lines, begin) or TOKEN.search(lines)
    if token is None:
        return []
    start, end = span[0] + token.start(), span[0] + token.end()
    choice = random.random()
    if choice < 0.5:
        return [(start, end, random.choice(WORDS))]
    if choice < 0.6:
        return [(start, end, b"")]
    if choice < 0.7:
        return [(start, start, token[0] * random.choice((1, 2, 50)))]
    if choice < 0.85:
        return [(start, start, random.choice(SEPARATORS))]
    if token[0].isdigit():
        return [
            (start, end, str(int(token[0][:18]) * random.choice((2, 1000, -1)) + random.choice((-1, 0, 1))).encode())
        ]
    other = TOKEN.search(lines, random.randrange(max(len(lines), 1)))
    return [(start, end, other[0])] if other else []
