"""Pages from templates of any package."""

from __future__ import annotations

import base64
import io

import jinja2
import numpy as np
import PIL.Image
import pytest

from anybind import BadInput
from anybind.pages import image_uri, render, save_page

TEMPLATE = """{% extends "page_base.html" %}
{% block title %}{{ name }}{% endblock %}
{% block content %}<h1>{{ name }}</h1>{% endblock %}
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Create a package with a template."""
    folder = tmp_path / "page_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "page.html").write_text(TEMPLATE)
    monkeypatch.syspath_prepend(tmp_path)
    return "page_package"


def test_a_template_of_a_package_extends_the_base_page(package):
    page = render(package, "page.html", name="duck")
    assert "<title>duck</title>" in page
    assert "prefers-color-scheme: dark" in page


def test_settings_are_listed_at_the_end(package):
    assert "Settings" not in render(package, "page.html", name="duck")
    page = render(package, "page.html", name="duck", settings={"binding": "<mini>", "scale": 1 / 3})
    assert "<dt>binding</dt><dd>&lt;mini&gt;</dd>" in page
    assert "<dt>scale</dt><dd>0.3333</dd>" in page


def test_values_are_escaped(package):
    assert "<h1>&lt;script&gt;</h1>" in render(package, "page.html", name="<script>")


def test_a_missing_field_raises(package):
    with pytest.raises(jinja2.UndefinedError, match="name"):
        render(package, "page.html")


def test_a_failed_page_leaves_the_former_one(package, tmp_path):
    path = tmp_path / "page.html"
    save_page(path, package, "page.html", name="duck")
    former = path.read_text()
    with pytest.raises(jinja2.UndefinedError):
        save_page(path, package, "page.html")
    assert path.read_text() == former
    with pytest.raises(BadInput, match="make it first"):
        save_page(tmp_path / "no" / "page.html", package, "page.html", name="duck")


def test_an_image_is_scaled_down_and_embedded_in_the_page():
    kind, _, data = image_uri(np.zeros((20, 40, 3), np.uint8), longest=10).partition(";base64,")
    assert kind == "data:image/webp"
    assert PIL.Image.open(io.BytesIO(base64.b64decode(data))).size == (10, 5)
