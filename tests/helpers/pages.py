"""HTML pages: a strict parser, and the browser to render them with."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

BROWSER_LOOK = Path(__file__).resolve().parents[2] / "benchmarks" / "browser_look.py"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
EMPTY = {"meta", "link", "br", "img", "input", "hr"}


class PageParser(HTMLParser):
    """An HTML parser that checks the nesting of tags and collects addresses and texts."""

    def __init__(self, text):
        super().__init__()
        self.open_tags, self.addresses, self.texts = [], [], []
        self.feed(text)
        assert self.open_tags == []

    def handle_starttag(self, tag, attrs):
        if tag not in EMPTY:
            self.open_tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open_tags.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open_tags[-1] != "style":
            self.texts.append(data.strip())
