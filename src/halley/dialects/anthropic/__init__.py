"""Anthropic Messages: what a client of it sends, what a provider of it answers, and how either is said in the vocabulary of `chat`."""

from __future__ import annotations

from halley.dialects.anthropic.errors import write_error

__all__ = ["write_error"]
