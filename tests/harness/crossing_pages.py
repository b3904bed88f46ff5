"""The pages about crossings, made from the goldens: what of each fixture arrives at the other side, and what does not.

A crossing is a client's dialect and a provider's: its asks are the client's, its answers and streams the provider's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from halley.dialects import DOORS, SPOKEN, anthropic, gemini, openai_chat, openai_responses
from tests.harness.goldens import FIXTURES

DOCS = FIXTURES.parent / "docs"
_SPOKEN = {"chat": openai_chat, "responses": openai_responses, "messages": anthropic, "gemini": gemini}
TITLES = {"chat": "OpenAI Chat Completions", "responses": "OpenAI Responses", "messages": "Anthropic Messages", "gemini": "Gemini"}
_LOST = re.compile(r"^: lost ([^\n]+?): ([^\n]+)$", re.MULTILINE)
_MADE = "Made by `script/goldens` from what the tests hold every crossing against; a case is named as its fixture is."


class Outcome(NamedTuple):
    """What came of a case: what was lost, as place and reason; or why it was refused."""

    case: str
    losses: tuple[tuple[str, str], ...] = ()
    refused: tuple[str, str] | None = None


class Page(NamedTuple):
    path: Path
    text: str


def pages() -> Iterator[Page]:
    yield Page(DOCS / "crossings.md", _index())
    for client in TITLES:
        for provider in TITLES:
            if client != provider:
                yield Page(DOCS / f"{_name(client, provider)}.md", _page(client, provider))


def outcomes(kind: str, mine: str, other: str) -> list[Outcome]:
    """Of every fixture of one kind of the dialect `mine` in `other`."""
    found: list[Outcome] = []
    for path in sorted((FIXTURES / kind / mine).glob(f"*.to-{other}.*")):
        case, text = path.name.partition(".")[0].replace("_", " "), path.read_text(encoding="utf-8")
        if path.suffix == ".sse":
            found.append(Outcome(case, tuple(_LOST.findall(text.partition("\n\n")[0]))))
            continue
        document = json.loads(text)
        refused = document.get("refused")
        losses = tuple((loss["path"], loss["reason"]) for loss in document.get("losses", ()))
        found.append(Outcome(case, losses, None if refused is None else (refused["param"] or "", refused["message"])))
    return found


def _page(client: str, provider: str) -> str:
    mine, other = SPOKEN[client].name, SPOKEN[provider].name
    assert {mine, other} <= DOORS.keys()
    asks = outcomes("asks", mine, other)
    answers = [*outcomes("answers", other, mine), *outcomes("streams", other, mine)]
    refused = [outcome for outcome in asks if outcome.refused is not None]
    lines = [
        f"# {TITLES[client]} on a provider of {TITLES[provider]}",
        "",
        f"What a client of {TITLES[client]} can say to a model whose provider speaks {TITLES[provider]}, and what it hears. {_MADE}",
        "How it works in general says the page about [dialects](dialects.md); the other crossings are [here](crossings.md).",
        "",
        "## What of a request arrives whole?",
        "",
        _list(outcome.case for outcome in asks if not outcome.losses and outcome.refused is None),
        "",
        "## What of a request is lost or said otherwise?",
        "",
        "It is named in `x-halley-lost`, and refused with `x-halley-strict: 1`.",
        "",
        *_table(("case", "place", "why"), ((outcome.case, *loss) for outcome in asks for loss in outcome.losses)),
        "## What is refused?",
        "",
        *_table(("case", "place", "why"), ((outcome.case, *outcome.refused) for outcome in refused if outcome.refused is not None)),
        "## What of an answer arrives whole?",
        "",
        _list(dict.fromkeys(outcome.case for outcome in answers if not outcome.losses)),
        "",
        "## What of an answer is lost or said otherwise?",
        "",
        *_table(
            ("case", "place", "why"),
            dict.fromkeys((outcome.case, *loss) for outcome in answers for loss in outcome.losses),
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _index() -> str:
    lines = [
        "# Crossings",
        "",
        "Every dialect of a client on every dialect of a provider: what arrives, what is lost and why, what is refused. "
        "Where both speak the same, it passes as it is.",
        "",
        "| client | " + " | ".join(f"provider of {title}" for title in TITLES.values()) + " |",
        "|---" * (len(TITLES) + 1) + "|",
    ]
    for client, title in TITLES.items():
        cells = ["as it is" if client == provider else f"[{_count(client, provider)}]({_name(client, provider)}.md)" for provider in TITLES]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "The figures are cases of requests that arrive whole, of those that are held in tests for this crossing.",
        "",
        "## What of an answer is no loss?",
        "",
        "A field or an event of a provider that Halley does not know is told as lost, by its place. These are known and left out of every "
        "other dialect on purpose, and are not told; `*` is any object.",
    ]
    for provider, title in TITLES.items():
        spoken = _SPOKEN[provider]
        known = dict.fromkeys([*spoken.LEFT_OUT.values(), *spoken.PASSED_OVER.values()], ())
        for place, why in (*spoken.LEFT_OUT.items(), *spoken.PASSED_OVER.items()):
            known[why] += (f"`{place}`",)
        rows = ((", ".join(places), why) for why, places in known.items())
        lines += ["", f"### {title}", "", *_table(("left out", "why"), rows)[:-1]]
    return "\n".join(lines).rstrip() + "\n"


def _count(client: str, provider: str) -> str:
    asks = outcomes("asks", SPOKEN[client].name, SPOKEN[provider].name)
    return f"{sum(not outcome.losses and outcome.refused is None for outcome in asks)} of {len(asks)}"


def _name(client: str, provider: str) -> str:
    return f"crossing-{client}-{provider}"


def _list(cases: Iterable[str]) -> str:
    return (", ".join(cases) or "nothing") + "."


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *cells, ""] if cells else ["Nothing.", ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
