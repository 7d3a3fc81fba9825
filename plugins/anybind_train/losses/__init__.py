"""The losses of the paper and of its authors' code: Eq. 2, 3, 5 and 6, the KL divergence, and cosine."""
