"""Lets pages link to files of the repository outside this folder, as they read on their own: mkdocs runs it.

A link such as `../benchmarks/results/vad.md` leads to a page below `repository/` that holds the same text.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(\.\./([^)#]+\.md)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add every file of the repository that a page links to."""
    linked = {name for page in files.documentation_pages() for name, _ in LINK.findall(page.content_string)}
    for name in sorted(linked):
        if (ROOT / name).is_file():  # one that is not is left to the check of links
            content = (ROOT / name).read_text(encoding="utf-8")
            files.append(
                File.generated(config, f"repository/{name}", content=content, inclusion=InclusionLevel.NOT_IN_NAV)
            )
    return files


def on_page_markdown(markdown: str, page: Any, files: Files, **_: Any) -> str:
    """Turn the links of a page of this folder to where those files now are."""

    def turned(found: re.Match[str]) -> str:
        inside = f"repository/{found[1]}"
        return f"]({inside}{found[2] or ''})" if files.get_file_from_path(inside) else found[0]

    return LINK.sub(turned, markdown) if not page.file.src_uri.startswith("repository/") else markdown
