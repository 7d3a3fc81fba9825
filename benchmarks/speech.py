"""Zero-shot accuracy on spoken digits by the modality `speech`, of speakers on whom no setting was chosen.

`python benchmarks/speech.py DATA`: DATA has `digits/speech` of the Free Spoken Digit Dataset; writes
`results/speech.json`. The settings of `anybind_speech.sphinx` were chosen on the other three speakers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import anybind
from anybind import AnybindError, Binder
from anybind.plugin import prompts
from anybind_classification import classify

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
HELD_OUT = ("nicolas", "theo", "yweweler")
RESULT = Path(__file__).with_name("results") / "speech.json"


def get_digit(path: str | Path) -> int:
    """Return the digit of a clip by its name."""
    return int(Path(path).name[0])


def measure_labels(binder: Binder, clips: list[Path], modality: str) -> tuple[float, list[float]]:
    """Return the accuracy with all ten labels, and the highest probability of each clip."""
    answers = classify(clips, DIGITS, binding=binder, modality=modality)
    hits = [answer.label == DIGITS[get_digit(answer.id)] for answer in answers]
    return float(np.mean(hits)), [answer.scores[0].probability for answer in answers]


def measure_other_words(binder: Binder, clips: list[Path]) -> list[float]:
    """Return the highest probability of each clip among the nine labels that are wrong."""
    highest = []
    for digit, name in enumerate(DIGITS):
        own = [clip for clip in clips if get_digit(clip) == digit]
        answers = classify(own, [each for each in DIGITS if each != name], binding=binder, modality="speech")
        highest += [answer.scores[0].probability for answer in answers]
    return highest


def measure_any_words(binder: Binder, clips: list[Path]) -> dict[str, float]:
    """Return the share of digits that the language model recognises, and accuracy by the embedding of its words."""
    recogniser, texts = binder.encoder("speech").recogniser, []
    for clip in clips:
        try:
            texts.append(recogniser.transcribe(anybind.read(clip).mono().resample(16_000).samples[0]))
        except AnybindError:
            texts.append("")
    names = prompts.embed_class_names(binder, "text", DIGITS, ("{}",))
    nearest = (binder.embed("text", [text or "nothing" for text in texts]) @ names).argmax(axis=1)
    truth = [get_digit(clip) for clip in clips]
    exact = np.mean([text == DIGITS[digit] for text, digit in zip(texts, truth, strict=True)])
    return {"exact": float(exact), "top1": float(np.mean(nearest == truth))}


def main(data: Path) -> None:
    """Measure and write the results."""
    folder, binder = data / "digits" / "speech", anybind.load("mini")
    few = [folder / f"{digit}_{name}_{index}.wav" for name in HELD_OUT for digit in range(10) for index in (0, 1)]
    all_clips = [clip for name in HELD_OUT for clip in sorted(folder.glob(f"*_{name}_*.wav"))]
    top1, inside = measure_labels(binder, few, "speech")
    outside = measure_other_words(binder, few)
    result = {
        "data": "Free Spoken Digit Dataset, speakers " + ", ".join(HELD_OUT),
        "binding": "mini",
        "n": len(few),
        "top1": top1,
        "sound_top1": measure_labels(binder, few, "sound")[0],
        "n_all": len(all_clips),
        "top1_all": measure_labels(binder, all_clips, "speech")[0],
        "probability_above_half": {
            "labels": float(np.mean(np.array(inside) > 0.5)),
            "other_words": float(np.mean(np.array(outside) > 0.5)),
        },
        "median_probability": {"labels": float(np.median(inside)), "other_words": float(np.median(outside))},
        "any_words": measure_any_words(binder, few),
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
