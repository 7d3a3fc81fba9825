"""Encoding tokenised texts in groups of similar lengths."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import anybind
from anybind.text_input import MAX_LENGTH_RATIO, encode_by_length


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=60), min_size=1, max_size=40))
def test_texts_of_similar_lengths_are_encoded_together_and_keep_their_order(texts):
    batches = []

    def encode(inputs):
        batches.append([len(each) for each in inputs])
        return np.array([[len(each), sum(each)] for each in inputs], np.float32)

    vectors = encode_by_length(texts, encode)
    assert vectors.tolist() == [[len(each), sum(each)] for each in texts]
    assert all(max(batch) <= MAX_LENGTH_RATIO * min(batch) for batch in batches)
    ends = [max(batch) for batch in batches]
    assert all(later > MAX_LENGTH_RATIO * min(batch) for batch, later in zip(batches, ends[1:], strict=False))


def test_texts_of_one_length_are_one_batch():
    batches = []
    encode_by_length([[1, 2]] * 7, lambda inputs: batches.append(len(inputs)) or np.zeros((len(inputs), 1)))
    assert batches == [7]


def test_embeddings_do_not_depend_on_the_other_texts():
    encoder = anybind.load("mini").encoder("text")
    texts = ["a cat", "a photo of a cat, feline mammal usually having thick soft fur", "a dog", " ".join(["word"] * 50)]
    inputs = [encoder.preprocess(text) for text in texts]
    alone = np.concatenate([encoder.encode([each]) for each in inputs])
    np.testing.assert_allclose(encoder.encode(inputs), alone, atol=1e-6)
