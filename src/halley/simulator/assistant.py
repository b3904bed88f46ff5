"""`local/docs-assistant`: full-text search over Halley's own documentation, as a chat message. It is not a language model and says so.

A section answers when it holds enough of the question's words, the rare ones counting most; else the assistant says that the docs do
not hold it. Search and ranking are SQLite's FTS5 and BM25.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from halley.simulator.heard import Heard

MODEL = "local/docs-assistant"

# The share of a question's weight that a section must hold. Lower, and "capital of France" finds a page that says "capital".
_THRESHOLD = 0.55
_PASSAGE_CHARACTERS = 1600
_WORD = re.compile(r"[a-z0-9]+")
_HEADING = re.compile(r"#{1,3} +(.+?) *#*$")
_WHO = re.compile(
    r"\b(who|what) are you\b|\bare you (a|an|some|really|gpt|claude|chatgpt|human)\b|\byour name\b|\b(which|what) model are you\b", re.I
)
# fmt: off
_STOP = frozenset((
    "a", "about", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could", "did", "do",
    "does", "don", "for", "from", "get", "give", "had", "halley", "has", "have", "how", "i", "if", "in", "into", "is", "it",
    "its", "just", "let", "like", "make", "may", "me", "mean", "means", "might", "must", "my", "need", "no", "not", "of",
    "on", "or", "our", "please", "s", "shall", "should", "show", "so", "some", "t", "tell", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "to", "up", "us", "use", "using", "want", "was", "we", "were", "what",
    "when", "where", "which", "who", "whom", "why", "will", "with", "would", "you", "your",
))
# fmt: on

_IDENTITY = (
    "I am local/docs-assistant. I am not a language model: I search Halley's own documentation and answer with the passages that fit your "
    "question. I cannot write, translate or calculate. To talk to a language model, configure a provider (see /docs/quickstart)."
)
_NOT_THERE = (
    "Halley's docs do not hold an answer to that. I am local/docs-assistant, a full-text search over Halley's documentation and not a "
    "language model, so I only answer questions about Halley.{pages}"
)


class Section(NamedTuple):
    page: str
    title: str
    heading: str
    text: str


class Assistant:
    """Answers from the sections it was given; the index lives in memory."""

    def __init__(self, sections: Iterable[Section]) -> None:
        self._sections = list(sections)
        self._index = sqlite3.connect(":memory:")
        self._index.execute("CREATE VIRTUAL TABLE sections USING fts5(title, heading, text, tokenize = 'porter unicode61')")
        self._index.executemany(
            "INSERT INTO sections(rowid, title, heading, text) VALUES (?, ?, ?, ?)",
            [(row, each.title, each.heading, each.text) for row, each in enumerate(self._sections)],
        )

    def __call__(self, heard: Heard) -> str:
        return self.answer(heard.said)

    def answer(self, question: str) -> str:
        if _WHO.search(question):
            return _IDENTITY
        found = self.find(question)
        if not found:
            pages = ", ".join(sorted({each.page for each in self._sections}))
            return _NOT_THERE.format(pages=f" The pages are: {pages}." if pages else "")
        best = found[0]
        lines = [f"**{best.heading}**", "", _passage(best.text), "", f"Source: {best.title} (/docs/{best.page})."]
        if others := list(dict.fromkeys(each.page for each in found[1:4] if each.page != best.page)):
            lines.append("See also: " + ", ".join(f"/docs/{page}" for page in others) + ".")
        return "\n".join(lines)

    def find(self, question: str) -> list[Section]:
        """The sections that answer, best first; empty when the docs do not hold it."""
        words = [word for word in dict.fromkeys(_WORD.findall(question.lower())) if word not in _STOP][:32]
        if not words:
            return []
        holders = {word: self._holding(word) for word in words}
        weights = {word: math.log((len(self._sections) + 1) / (len(rows) + 0.5)) for word, rows in holders.items()}
        needed = _THRESHOLD * sum(weights.values())
        ranked = self._index.execute(
            "SELECT rowid FROM sections WHERE sections MATCH ? ORDER BY bm25(sections, 3.0, 6.0, 1.0)",
            (" OR ".join(f'"{word}"' for word in words),),
        )
        rows = [row for (row,) in ranked]
        return [self._sections[row] for row in rows if sum(weights[word] for word in words if row in holders[word]) >= needed]

    def _holding(self, word: str) -> set[int]:
        return {row for (row,) in self._index.execute("SELECT rowid FROM sections WHERE sections MATCH ?", (f'"{word}"',))}


def packaged_docs() -> Path:
    """`halley/docs` of an installation, else `docs` of the checkout."""
    installed = Path(__file__).parents[1] / "docs"
    return installed if installed.is_dir() else Path(__file__).parents[3] / "docs"


def read_sections(folder: Path) -> list[Section]:
    """Every headed section of every page; a page's title is its first heading."""
    return [section for path in sorted(folder.glob("*.md")) for section in _split(path.stem, path.read_text(encoding="utf-8"))]


def _split(page: str, text: str) -> list[Section]:
    title, heading, lines, fenced = page, page, list[str](), False
    sections: list[Section] = []

    def close() -> None:
        if body := "\n".join(lines).strip():
            sections.append(Section(page, title, heading, body))
        lines.clear()

    for line in text.splitlines():
        # A `#` inside a code block is a shell's comment.
        fenced ^= line.startswith("```")
        found = None if fenced else _HEADING.match(line)
        if found is None:
            lines.append(line)
            continue
        close()
        heading = found[1]
        title = heading if line.startswith("# ") else title
    close()
    return sections


def _passage(text: str) -> str:
    """Whole paragraphs from the start; the first one always."""
    kept: list[str] = []
    for paragraph in text.split("\n\n"):
        if kept and sum(map(len, kept)) + len(paragraph) > _PASSAGE_CHARACTERS:
            break
        kept.append(paragraph)
    if sum(part.count("```") for part in kept) % 2:
        kept.append("```")
    return "\n\n".join(kept)
