"""Answers that their callers may go on from: what is kept of them at their end, and how a request goes on from one.

A provider that speaks the client's dialect keeps its answers itself: known here is whose they are and who has them, so that the next
request goes there too. Every other answer is kept by Halley, sealed, and the request that goes on from it is written out in full.
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from typing import TYPE_CHECKING

from halley import logs
from halley.errors import Condition, Refused
from halley.secret import SecretBytes
from halley.serve.stages import RECALLING
from halley.store.journal import Kept
from halley.store.messages import AnswersWanted

if TYPE_CHECKING:
    from halley.serve.gateway import Gateway
    from halley.serve.relay import Run
    from halley.store.messages import Answers
    from halley.store.vault import Vault

_log = logs.get("halley.serve")


class Recalled:
    """What a request goes on from. `answer` is the one that it names as the last, if it does; `own` is the body before what was
    said earlier was put in front; `provider` is who has that answer, None when Halley has."""

    __slots__ = ("answer", "own", "provider")

    def __init__(self, answer: str | None, own: bytes, provider: str | None) -> None:
        self.answer = answer
        self.own = own
        self.provider = provider


def recall(run: Run) -> None:
    """Ask for what the request goes on from; `told` follows."""
    run.stage = RECALLING
    account, last, others = run.account.id, run.seen.previous, tuple(run.seen.named)
    run.gateway.questions.ask(run, lambda question: AnswersWanted(question, account, last, others))


def told(run: Run, found: Answers) -> bool:
    """The request as it goes on: whether its body is another now. Raises Refused."""
    gateway, seen, own = run.gateway, run.seen, run.request.body
    history, answer = run.route.dialect.history, seen.previous
    assert history is not None
    if answer is not None and not found.line:
        raise history.missing(answer)
    if seen.named:
        own = history.resolve(own, {each.answer: opened(gateway, each) for each in found.others if each.sealed is not None})
    records = [opened(gateway, each) for each in found.line if each.sealed is not None]
    theirs = found.line[-1].provider if found.line and not records else None
    body = history.expand(own, records) if records else own
    if len(body) > gateway.body_limit:
        message = f"The conversation is longer than {gateway.body_limit} bytes; begin a new one, or send a shorter one in input."
        raise Refused(Condition.BODY_TOO_LARGE, message)
    run.recalled = Recalled(answer, own, theirs)
    seen.previous, seen.named = None, []
    changed, run.request.body = body is not run.request.body, body
    return changed


def with_its_provider(run: Run) -> None:
    """A check of admission: who has the earlier answer serves the next one. Raises Refused."""
    recalled = run.recalled
    if recalled is None or recalled.provider is None:
        return
    dialect = run.route.dialect
    run.offers = tuple(offer for offer in run.model.offers if offer.host.name == recalled.provider and dialect.name in offer.host.ways)
    if not run.offers and dialect.history is not None:
        raise dialect.history.elsewhere(recalled.answer or "", recalled.provider, run.model.id)


def keep(run: Run) -> None:
    """At the end of an answer that is whole, before its end record."""
    dialect = run.route.dialect
    history, answer = dialect.history, run.answer
    if history is None:
        return
    reply = history.last(run.final) if answer is None else history.reply(answer[2])
    if reply is None:
        _log.warning("an answer that was to be kept has no id", request=run.id, provider=run.offer.host.name)
        return
    recalled = run.recalled
    sealed = previous = None
    if run.passage.spoken is not dialect:
        own = run.request.body if recalled is None else recalled.own
        previous = None if recalled is None else recalled.answer
        sealed = vault(run.gateway).wrap(_name(run.account.id, reply.id), SecretBytes(history.record(own, reply.body)))
    run.gateway.journal.note(Kept(reply.id, run.gateway.wall(), run.account.id, run.offer.host.name, previous, sealed))


def opened(gateway: Gateway, kept: Kept) -> bytes:
    """The record of an answer that Halley keeps."""
    return vault(gateway).unwrap(_name(kept.account, kept.answer), kept.sealed or b"").reveal()


def _name(account: str, answer: str) -> str:
    """What a record is sealed for: it opens for no other account and as no other answer."""
    return f"{account}/{answer}"


def vault(gateway: Gateway) -> Vault:
    """The cipher of what is kept of answers. Its key is made from the store's own secret: the same at every relay, for the store's life."""
    snapshot = gateway.tables.snapshot
    assert snapshot is not None
    return _vault_under(snapshot.pepper)


@lru_cache(maxsize=1)
def _vault_under(secret: SecretBytes) -> Vault:
    # The cipher costs a relay time and memory that one without kept answers does not need.
    from halley.store.vault import Vault

    return Vault(SecretBytes(hmac.digest(secret.reveal(), b"kept answers", "sha256")), "the store")
