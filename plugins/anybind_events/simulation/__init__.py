"""Simulation of event streams from images and videos."""
