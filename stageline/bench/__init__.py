"""Measuring models: how fast each runtime computes them here, and in how much memory."""
