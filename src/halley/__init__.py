"""Halley: a self-hosted gateway for every AI model, and a tester that proves that such an API keeps its contract."""

__version__ = "0.1.0"
