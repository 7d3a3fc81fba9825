"""The page of a live source: answers as server-sent events, on this machine only."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator

import pytest

import anybind
from anybind.errors import BadInput, BadOption
from anybind_classification import LiveAnswer, LivePage, watch
from anybind_classification.demo_images import RECORDING


@pytest.fixture(scope="module")
def answers() -> list[LiveAnswer]:
    options = {"speed": 0}
    labels = ["a face", "<img src=x onerror=alert(1)>"]
    binder = anybind.load("mini")
    return list(watch(RECORDING, labels, binding=binder, source_options=options, drop="block"))


@pytest.fixture
def page() -> Iterator[LivePage]:
    with LivePage(source="<b>recording</b>") as page:
        yield page


def request(page: LivePage, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    host, port = page.url.removeprefix("http://").rstrip("/").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def read_message(response: http.client.HTTPResponse) -> tuple[str, dict]:
    """Return the name and the data of the next message that is not a comment."""
    name = ""
    while True:
        line = response.readline().decode().strip()
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: "))


def test_an_open_page_gets_the_answers_with_an_image_and_the_end(answers: list[LiveAnswer]) -> None:
    with LivePage() as page:
        response = request(page, "/events")
        assert response.headers["Content-Type"] == "text/event-stream"
        for answer in answers:
            page.show(answer)
            name, record = read_message(response)
            assert (name, record["label"], record["start_us"]) == ("answer", answer.name, answer.start_us)
            assert record["frame"].startswith("data:image/webp;base64,")
            assert "kev/s" in record["state"]
    assert read_message(response) == ("end", {})


def test_the_page_itself_is_escaped_and_may_load_no_other_file(page: LivePage) -> None:
    response = request(page, "/")
    text = response.read().decode()
    assert "&lt;b&gt;recording&lt;/b&gt;" in text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "", "127.0.0.1", "127.0.0.1.example.org"])
def test_requests_for_another_host_are_refused(host: str, page: LivePage) -> None:
    for path in ("/", "/events"):
        assert request(page, path, Host=host).status == 403


def test_only_the_page_can_be_read(page: LivePage) -> None:
    assert request(page, "/../../etc/passwd").status == 404
    assert request(page, "/", "POST").status == 501


def test_too_many_pages_are_refused(page: LivePage, answers: list[LiveAnswer]) -> None:
    page.show(answers[0])
    responses = [request(page, "/events") for _ in range(9)]
    assert [each.status for each in responses] == [200] * 8 + [503]


def test_a_page_that_nobody_reads_does_not_block(page: LivePage, answers: list[LiveAnswer]) -> None:
    response = request(page, "/events")
    for _ in range(1000):
        page.show(answers[0])
    assert response.status == 200


def test_a_used_port_is_one_error(page: LivePage) -> None:
    port = int(page.url.rstrip("/").rpartition(":")[2])
    with pytest.raises(BadInput, match=f"port {port} .*choose another with --port"):
        LivePage(port)
    with pytest.raises(BadOption, match="0 to 65535"):
        LivePage(70_000)
