"""What every file of this dialect needs: its name, and names for files that have none. Never knows what a field means."""

from __future__ import annotations

DIALECT = "openai_responses"
_ENDINGS = {"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md", "text/html": "html", "text/csv": "csv"}


def file_name(mime: str) -> str:
    """A name for a file that has none, which is demanded beside its data."""
    return f"document.{_ENDINGS.get(mime, 'bin')}"
