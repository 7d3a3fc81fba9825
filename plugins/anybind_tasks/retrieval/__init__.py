"""Retrieval: which items of one modality answer those of another, how well, and fast exact search."""
