"""Pages: one HTML file each, that holds its pictures and needs nothing else."""

from __future__ import annotations

import base64
import importlib.resources
import io
from typing import Any

import jinja2
import numpy as np
import PIL.Image

PICTURE_PIXELS = 480
"""Longest side of a picture on a page."""


def render(template: str, **fields: Any) -> str:
    """A page from one of this package's templates; what is filled in is escaped."""
    folder = importlib.resources.files("anybind_tasks")
    loader = jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template(template).render(fields)


def picture_uri(picture: np.ndarray, longest: int = PICTURE_PIXELS) -> str:
    """A picture, (height, width, 3) uint8, as a `data:` URI, made smaller where a side is longer than `longest`."""
    image = PIL.Image.fromarray(picture)
    image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=80)
    return data_uri("image/webp", buffer.getvalue())


def data_uri(kind: str, contents: bytes) -> str:
    """Bytes of a media type as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(contents).decode()}"
