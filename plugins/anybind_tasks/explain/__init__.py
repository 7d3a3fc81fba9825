"""Relevance maps: which parts of a recording or picture, and which words, their cosine comes from."""
