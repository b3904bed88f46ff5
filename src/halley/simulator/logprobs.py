"""Log probabilities of the pieces of a text, in OpenAI's words and in Google's. Every piece is as likely as every other."""

from __future__ import annotations

from collections.abc import Sequence

from halley.simulator.schema import Json

CHANCE = -0.25


def openai(pieces: Sequence[str], top: int) -> list[Json]:
    """`top` alternatives each, all of them the piece itself."""
    found: list[Json] = []
    for piece in pieces:
        one: dict[str, Json] = {"token": piece, "logprob": CHANCE, "bytes": list(piece.encode())}
        found.append({**one, "top_logprobs": [dict(one) for _ in range(top)]})
    return found


def google(pieces: Sequence[str], top: int) -> Json:
    chosen: list[Json] = [{"token": piece, "logProbability": CHANCE, "tokenId": index} for index, piece in enumerate(pieces)]
    return {"chosenCandidates": chosen, "topCandidates": [{"candidates": [one] * top} for one in chosen]}
