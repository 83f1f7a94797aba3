"""Measures the figures in the documentation."""
