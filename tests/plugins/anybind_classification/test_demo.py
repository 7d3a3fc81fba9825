"""`anybind demo`: recordings, predictions, and the HTML page."""

from __future__ import annotations

import json
import re
import shutil

import PIL.Image
import pytest

import anybind
from anybind_classification.demo_evaluation import DemoMetric

pytestmark = pytest.mark.torch


def test_the_demo_writes_recordings_and_one_self_contained_page(demo_folder):
    assert len(list((demo_folder / "recordings").glob("*.npz"))) == 10
    page = (demo_folder / "index.html").read_text()
    assert page.count("<article") == 11  # and the real recording
    assert page.count('src="data:image/webp;base64,') == 21  # ten images, eleven recordings
    assert not re.search(r'(src|href)="(?!data:)', page)
    stream = anybind.read(demo_folder / "recordings" / "03-chelsea.npz")
    assert f"{len(stream):,} events" in page


def test_the_demo_accepts_user_images_and_recordings(cli, demo_folder, tmp_path, demo_images):
    recording = demo_folder / "recordings" / "08-rocket.npz"
    out = tmp_path / "out"
    ended = cli("demo", demo_images["chelsea.jpg"], recording, "--labels", "chelsea,rocket", "-o", out, "--json")
    assert ended.code == 0, ended
    output = json.loads(ended.out)
    assert [row["name"] for row in output["recordings"]] == ["chelsea", "08-rocket"]
    assert (out / "index.html").read_text().count('src="data:image/webp') == 3


def test_the_demo_skips_invalid_files_and_names_the_input_file_in_errors(cli, invalid_files, tmp_path, demo_images):
    blank = tmp_path / "blank.png"
    PIL.Image.new("RGB", (40, 30), "gray").save(blank)
    files = [*invalid_files.values(), blank, demo_images["rocket.jpg"], demo_images["chelsea.jpg"]]
    assert f"{blank}: the recording is empty" in cli("demo", *files[-3:], "-o", tmp_path / "a").error()
    ended = cli("demo", *files, "-o", tmp_path / "b", "--skip-invalid", "--json")
    assert ended.code == 0
    output = json.loads(ended.out)
    assert sorted(output["skipped"]) == sorted(map(str, files[:-2]))
    assert [row["name"] for row in output["recordings"]] == ["rocket", "chelsea"]


def test_labels_match_file_names_regardless_of_case(cli, tmp_path, demo_images):
    shutil.copy(demo_images["rocket.jpg"], tmp_path / "ROCKET.jpg")
    ended = cli("demo", tmp_path / "ROCKET.jpg", "--labels", "Cat,Rocket", "-o", tmp_path / "o", "--json")
    assert [metric["n"] for metric in json.loads(ended.out)["metrics"]] == [1, 1, 1, 1]


def test_the_page_marks_the_first_label_and_only_where_the_truth_is_known(cli, demo_folder, tmp_path, demo_images):
    for name in ("rocket.jpg", "horse.jpg"):  # the second is mislabelled
        shutil.copy(demo_images["rocket.jpg"], tmp_path / name)
    paths = (tmp_path / "rocket.jpg", tmp_path / "horse.jpg", demo_folder / "recordings" / "08-rocket.npz")
    ended = cli("demo", *paths, "--labels", "rocket,horse", "-o", tmp_path / "o")
    _, correct, wrong, unlabelled = (tmp_path / "o" / "index.html").read_text().split("<article")
    assert re.findall("[✓✗] [a-z]+", correct.split("</article>")[0]) == ["✓ rocket", "✓ rocket"]  # label, image
    assert "✗ rocket" in wrong
    assert "correct label: horse (rank 2)" in wrong
    assert "✓" not in wrong
    assert not re.search("[✓✗]", unlabelled.split("</article>")[0])
    assert not re.search("[✓✗]", next(line for line in ended.out.splitlines() if "08-rocket" in line))


@pytest.mark.parametrize(("n", "n_candidates", "chance"), [(10, 10, "1 of 10"), (2, 3, "0.7 of 2"), (3, 2, "1.5 of 3")])
def test_the_chance_level_is_a_count(n, n_candidates, chance):
    metric = DemoMetric("recordings classified by text", 1, n, n_candidates)
    assert str(metric) == f"recordings classified by text: 1 of {n} (expected by chance: {chance})"
