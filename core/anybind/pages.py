"""HTML pages: self-contained files with embedded images, and SVG charts.

Public: plugins may import these names. A template begins with `{% extends "page_base.html" %}` and fills the blocks
`title`, `style` and `content`. With the field `settings`, a mapping, the page ends with a list of settings.
"""

from __future__ import annotations

import base64
import html
import importlib.resources
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from anybind.charts import Axis as Axis  # for plugins, as the next ones
from anybind.charts import Mark as Mark
from anybind.charts import draw_lines as draw_lines
from anybind.charts import draw_marks as draw_marks
from anybind.charts import draw_steps as draw_steps
from anybind.charts import format_time as format_time
from anybind.charts import save_chart as save_chart
from anybind.files import atomic_path

IMAGE_PIXELS = 480
"""Longest side of an image on a page, pixels."""
BASE = "page_base.html"
"""The template of core that all others extend."""


def save_page(path: Path, package: str, template: str, **fields: object) -> None:
    """Write a page, atomically.

    Args:
        path: the file.
        package: the package of the template.
        template: path in the package, with `/` between folders.
        fields: values of the template; texts are escaped.

    Raises:
        BadInput: the file cannot be written.
    """
    page = render(package, template, **fields)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render(package: str, template: str, **fields: object) -> str:
    """Render a page from a package's template; see `save_page`."""
    import jinja2  # with Pillow a fifth of the time of `anybind --help`, which renders no page

    def read_template(name: str) -> str:
        folder = importlib.resources.files("anybind" if name == BASE else package)
        return folder.joinpath(name).read_text(encoding="utf-8")

    loader = jinja2.FunctionLoader(read_template)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(fields)


def table_html(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> str:
    """Format a plain HTML table for notebooks; cells and caption are escaped."""

    def make_row(tag: str, cells: Iterable[object]) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(str(cell))}</{tag}>' for cell in cells)}</tr>"

    lines = [make_row("th", columns), *(make_row("td", row) for row in rows)]
    return f"<table><caption>{html.escape(caption)}</caption>{''.join(lines)}</table>"


def image_uri(image: np.ndarray, longest: int = IMAGE_PIXELS) -> str:
    """Encode an image, (height, width, 3) uint8, as a `data:` URI, scaled down if a side is longer than `longest`."""
    import PIL.Image

    thumbnail = PIL.Image.fromarray(image)
    thumbnail.thumbnail((longest, longest))
    buffer = io.BytesIO()
    thumbnail.save(buffer, format="WEBP", quality=80)
    return data_uri("image/webp", buffer.getvalue())


def data_uri(kind: str, contents: bytes) -> str:
    """Encode bytes of a media type as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(contents).decode()}"
