"""Reconstruction of images from events."""
