"""Find the code blocks of a Markdown page, and the comments that state why one is not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PAGES = [page for page in PAGES if "examples" not in page.parts]  # their tests are run where they are installed

_NOT_RUN = re.compile(r"<!--\s*not run:\s*(.+?)\s*-->\s*", re.DOTALL)
_OUTPUT = re.compile(r"<!--\s*output\s*-->\s*")
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the Markdown file.
        line: of the fence, from 1.
        language: the first word behind the fence.
        title: the file that the block is, if it is one: `title="mine.toml"` behind the language.
        not_run: the reason in the comment `<!-- not run: ... -->` right before it, if there is one.
        is_output: whether the comment `<!-- output -->` stands right before it: what the block before prints.
        text: the content.
    """

    page: Path
    line: int
    language: str
    title: str
    not_run: str
    is_output: bool
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path, text: str | None = None) -> list[Block]:
    """Return the blocks of a page in order; the language of an indented block is ''."""
    blocks, reason, is_output = [], "", False
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8") if text is None else text):
        if token.type in ("fence", "code_block"):
            language, _, rest = token.info.partition(" ")
            title = _TITLE.search(rest)
            assert token.map is not None
            line = token.map[0] + 1
            blocks.append(Block(page, line, language, title[1] if title else "", reason, is_output, token.content))
        comment = _NOT_RUN.fullmatch(token.content) if token.type == "html_block" else None
        reason = comment[1] if comment else ""
        is_output = token.type == "html_block" and bool(_OUTPUT.fullmatch(token.content))
    return blocks
