"""Re-ranking takes hubs out of the first places."""

import anybind
import numpy as np
import pytest
from anybind.plugin import BadInput, BadOption, HeadInput, create_part

SPACE = anybind.Space("s", 16)


def embeddings(vectors, modality="image"):
    return anybind.Embeddings(anybind.normalize(vectors), SPACE, modality, tuple(map(str, range(len(vectors)))), "e")


def hubby_gallery():
    """Make queries, (40, 16), their relevant candidates, and forty more in a dense cluster amid the queries."""
    random = np.random.default_rng(0)
    queries = random.standard_normal((40, 16)) + 1.5
    right = queries + 1.2 * random.standard_normal((40, 16))
    hubs = np.full((40, 16), 1.5) + 0.1 * random.standard_normal((40, 16))
    return embeddings(queries, "text"), embeddings(np.concatenate([right, hubs]))


def recall_at_1(scores):
    return float(np.mean(scores.argmax(axis=1) == np.arange(len(scores))))


def test_relevant_candidates_rank_above_hubs():
    queries, candidates = hubby_gallery()
    plain = recall_at_1(queries @ candidates)
    reranked = recall_at_1(create_part("head", "csls").score(HeadInput({"image": candidates}), queries))
    assert reranked > plain + 0.2


def test_a_single_candidate_is_scored_by_its_similarity():
    queries, candidates = hubby_gallery()
    scores = create_part("head", "csls").score(HeadInput({"image": candidates[[0]]}), queries)
    np.testing.assert_allclose(scores, 2 * (queries @ candidates[[0]]), atol=1e-6)


def test_invalid_options_and_candidates_of_two_modalities_raise():
    with pytest.raises(BadOption, match="neighbours"):
        create_part("head", "csls", neighbours=0)
    queries, candidates = hubby_gallery()
    both = HeadInput({"image": candidates, "text": embeddings(candidates.vectors, "text")})
    with pytest.raises(BadInput, match="one modality"):
        create_part("head", "csls").score(both, queries)
