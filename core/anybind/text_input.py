"""`TextInput`: texts to tokens, by a `tokenizer.json` and without torch."""

from __future__ import annotations

import html
import json
import string
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from anybind.errors import AnybindWarning, BadInput, BadOption, UnsupportedBackend
from anybind.exporting import EncoderInput

Cleaning = Literal["", "whitespace", "lower", "canonicalize"]
CLEANINGS = ("", "whitespace", "lower", "canonicalize")
TOKENIZER = "tokenizer.json"
OPTIONS = ("context", "padding", "fixed", "mask", "clean", "zero", "prompt_templates")
MAX_LENGTH_RATIO = 4 / 3
"""Largest ratio of the lengths of texts that are encoded together; a batch for each length is slower again."""
CLIP_PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+)"
"""What CLIP's tokenizer takes as one word; source: `simple_tokenizer.py` of OpenAI's CLIP (MIT)."""


class ClipTokenizer(Protocol):
    """Tables of CLIP's byte pair encoding, as `open_clip.tokenizer.SimpleTokenizer` has them."""

    encoder: dict[str, int]
    bpe_ranks: dict[tuple[str, ...], int]
    all_special_ids: list[int]
    context_length: int | None


class TextInput(EncoderInput):
    """Tokens of texts. Texts beyond the context are truncated, with a warning that shows where.

    Attributes:
        tokenizer: the tokenizer, of the package tokenizers.
        context: maximum number of tokens, with those of start and end.
    """

    def __init__(
        self,
        tokenizer: bytes | str,
        context: int,
        *,
        padding: int = 0,
        fixed: bool = False,
        mask: bool = False,
        clean: Cleaning = "",
        zero: int | None = None,
        prompt_templates: Sequence[str] = (),
    ) -> None:
        """Load a tokenizer.

        Args:
            tokenizer: content of a `tokenizer.json`.
            context: maximum number of tokens.
            padding: the padding token.
            fixed: pad to the context, not to the longest text of a batch.
            mask: collate to `input_ids` and `attention_mask`, not to `tokens` alone.
            clean: clean texts as open_clip does, by ftfy: `whitespace`, `lower` or `canonicalize`.
            zero: a token that is replaced by 0.
            prompt_templates: as those of `Encoder`.

        Raises:
            BadInput: the tokenizer cannot be read.
            BadOption: there is no such way to clean texts.
        """
        import tokenizers

        if clean not in CLEANINGS:
            raise BadOption(f"clean: expected {', '.join(filter(None, CLEANINGS))}, got {clean!r}")
        if clean:
            import ftfy  # noqa: F401 (reported now, not at the first text)
        try:
            self.tokenizer = tokenizers.Tokenizer.from_str(
                tokenizer if isinstance(tokenizer, str) else tokenizer.decode()
            )
        except Exception as error:  # tokenizers in Rust raise bare Exceptions
            raise BadInput(f"not a valid tokenizer: {' '.join(str(error).split())[:200]}") from error
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(context)  # its file has the training length
        self.context, self.padding, self.fixed, self.mask = context, padding, fixed, mask
        self.clean: Cleaning = clean
        self.zero, self.prompt_templates = zero, tuple(prompt_templates)

    @classmethod
    def from_clip(cls, tokenizer: ClipTokenizer, *, clean: Cleaning = "lower") -> TextInput:
        """Make the counterpart of CLIP's tokenizer, `open_clip.tokenizer.SimpleTokenizer`.

        Raises:
            UnsupportedBackend: the tokenizer has no context length.
        """
        if tokenizer.context_length is None:
            raise UnsupportedBackend("a tokenizer without a context length cannot be exported")
        return cls(_convert_clip_tokenizer(tokenizer), tokenizer.context_length, fixed=True, clean=clean)

    @property
    def options(self) -> Mapping[str, object]:
        """The options of the constructor but for the tokenizer, JSON-like."""
        return {name: getattr(self, name) for name in OPTIONS}

    @property
    def files(self) -> Mapping[str, bytes]:
        """The files that `load_text_input` reads, by name."""
        return {TOKENIZER: self.tokenizer.to_str().encode()}

    def preprocess(self, sample: str) -> list[int]:
        """Tokenise a text, to at most as many tokens as the context has."""
        text = clean_text(sample, self.clean)
        encoding = self.tokenizer.encode(text)
        if encoding.overflowing:
            end = max(end for _, end in encoding.offsets)
            warnings.warn(
                f"text truncated to {self.context} tokens: kept up to {text[max(0, end - 30) : end]!r},"
                f" dropped {text[end : end + 30]!r}...",
                AnybindWarning,
                stacklevel=2,
            )
        return encoding.ids if self.zero is None else [0 if each == self.zero else each for each in encoding.ids]

    def collate(self, inputs: Sequence[list[int]]) -> dict[str, np.ndarray]:
        """Pad tokens to `tokens`, or to `input_ids` and `attention_mask`, each (n, length) int64."""
        longest = self.context if self.fixed else max(map(len, inputs))
        tokens = np.full((len(inputs), longest), self.padding, np.int64)
        mask = np.zeros_like(tokens)
        for row, ids in enumerate(inputs):
            tokens[row, : len(ids)] = ids
            mask[row, : len(ids)] = 1
        return {"input_ids": tokens, "attention_mask": mask} if self.mask else {"tokens": tokens}


def encode_by_length(inputs: Sequence[list[int]], encode: Callable[[Sequence[list[int]]], np.ndarray]) -> np.ndarray:
    """Encode tokenised texts in groups of similar lengths, since padding takes as long as text.

    Args:
        inputs: the tokens of each text.
        encode: encodes some of them, to (n, d).

    Returns:
        The vectors, (n, d), in the order of `inputs`.
    """
    groups: list[list[int]] = []
    for row in sorted(range(len(inputs)), key=lambda row: len(inputs[row])):
        if not groups or len(inputs[row]) > MAX_LENGTH_RATIO * len(inputs[groups[-1][0]]):
            groups.append([])
        groups[-1].append(row)
    vectors = np.concatenate([encode([inputs[row] for row in group]) for group in groups])
    return vectors[np.argsort(np.concatenate(groups))]


def load_text_input(
    *,
    folder: Path,
    context: int,
    padding: int = 0,
    fixed: bool = False,
    mask: bool = False,
    clean: Cleaning = "",
    zero: int | None = None,
    prompt_templates: Sequence[str] = (),
) -> TextInput:
    """Load the preprocessing of an exported text encoder; see `TextInput` for the options.

    Raises:
        BadInput: the tokenizer is missing or damaged.
    """
    try:
        content = (folder / TOKENIZER).read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {folder / TOKENIZER}: {error.strerror or error}") from error
    return TextInput(
        content,
        context,
        padding=padding,
        fixed=fixed,
        mask=mask,
        clean=clean,
        zero=zero,
        prompt_templates=prompt_templates,
    )


def _convert_clip_tokenizer(tokenizer: ClipTokenizer) -> str:
    """Convert CLIP's tokenizer to a `tokenizer.json`: the first two special tokens begin and end each text."""
    import tokenizers
    from tokenizers import Regex, models, pre_tokenizers, processors

    merges = [(first, second) for (first, second), _ in sorted(tokenizer.bpe_ranks.items(), key=lambda entry: entry[1])]
    converted = tokenizers.Tokenizer(models.BPE(dict(tokenizer.encoder), merges, end_of_word_suffix="</w>"))
    converted.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(CLIP_PATTERN), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    names = {number: name for name, number in tokenizer.encoder.items()}
    special = [names[number] for number in tokenizer.all_special_ids]
    converted.add_special_tokens([tokenizers.AddedToken(name, normalized=False, special=True) for name in special])
    start, end = special[:2]
    converted.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single=f"{start} $A {end}", special_tokens=[(name, tokenizer.encoder[name]) for name in (start, end)]
    )
    return json.dumps(json.loads(converted.to_str()), ensure_ascii=False)


def clean_text(text: str, cleaning: Cleaning) -> str:
    """Clean a text as open_clip's tokenizers do (`open_clip/tokenizer.py`, MIT); without a cleaning, return it."""
    if not cleaning:
        return text
    import ftfy

    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    if cleaning == "canonicalize":
        text = text.replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    text = " ".join(text.split())
    return text if cleaning == "whitespace" else text.lower()
