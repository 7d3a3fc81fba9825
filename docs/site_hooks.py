"""Hooks of the site: pages generated from the code and from notebooks, and links to files outside this folder.

* `reference/cli.md` is generated from the commands ([cli_reference.py](cli_reference.py)).
* `tutorials/NAME.ipynb` becomes the page `tutorials/NAME.md`, with the outputs that the notebook stores.
* A link such as `../../benchmarks/results/vad.md` leads to a copy of that file below `repository/`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
LINK = re.compile(r"\]\(((?:\.\./)+[^)#]+\.md)(#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and every file of the repository that a page links to."""
    pages = {"reference/cli.md": load_script("cli_reference").render_reference()}
    for notebook in sorted(DOCS.glob("tutorials/*.ipynb")):
        pages[f"tutorials/{notebook.stem}.md"] = render_notebook(notebook)
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    linked = {
        name
        for page in files.documentation_pages()
        for target, _ in LINK.findall(page.content_string)
        if (name := find_repository_file(page.src_uri, target))
    }
    for name in sorted(linked):
        content = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, f"repository/{name}", content=content, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Generate tables of registered parts, and redirect links to files of the repository to their copies."""
    source = page.file.src_uri

    def redirect(match: re.Match[str]) -> str:
        if not (name := find_repository_file(source, match[1])):
            return match[0]
        return f"]({os.path.relpath(f'repository/{name}', Path(source).parent)}{match[2] or ''})"

    if source.startswith("repository/"):
        return markdown
    return LINK.sub(redirect, load_script("tables").generate_tables(markdown))


def find_repository_file(page: str, target: str) -> str:
    """Return the repository path of a link's target outside of this folder; empty for any other link."""
    path = os.path.normpath(Path(page).parent / target)
    name = path.removeprefix("../")
    return name if path.startswith("../") and (ROOT / name).is_file() else ""


def load_script(name: str) -> Any:
    """Import a script of this folder."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(DOCS))  # for the packages beside the script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


def render_notebook(path: Path) -> str:
    """Return a notebook as Markdown: its cells, and the text and images of their outputs."""
    lines = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        lines.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", ())})
            if "image/png" in data:
                lines.append(f"![Output of the cell above](data:image/png;base64,{''.join(data['image/png']).strip()})")
            else:
                lines.append(f"```text\n{''.join(data['text/plain']).rstrip()}\n```")
    lines.append(f"This page is a Jupyter notebook: `docs/tutorials/{path.name}` in the repository.")
    return "\n\n".join(lines) + "\n"
