"""Requests hidden in requests, and seeded mutations of them: straight at a relay, and through nginx and haproxy on shared connections.

Straight: every answer is held against a strict reading of what was sent. Through a front: a second client's answers must stay its own, and
the relay must not answer more requests than the front handed on. Hidden requests that would cost money must not reach the provider.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures, say
from soak.fronts import NAMES, Front, front
from soak.mutations import mutate
from tests.harness import books, smuggling, strict
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

GOOD, DEAR = "sim/echo", "sim/tokens-2"
_AT_ONCE = 32
_QUIET_S = 0.3
_COUNTED = re.compile(r"^halley_(?:refusals|requests)_total\{.*\} (\d+)$", re.MULTILINE)
Address = tuple[str, int]


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    cases = smuggling.corpus()
    # Half of the mutations start from what would be answered: those come further.
    seeds = [case.bytes() for case in cases for _ in range(1 if case.refused else 3)]
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, (GOOD, DEAR))) as gateway:
        key = customer(gateway, "meant", "1000")
        address = smuggling.address(gateway.url)
        _good(gateway, key)
        outcomes = Counter[str]()
        for batch in _batches(seeds, dice, effort.rounds):
            outcomes.update(_straight(address, batch))
        say(f"straight: {dict(outcomes)}")
        dear = _dear(gateway, address, key, dice, max(effort.rounds // 20, 150))
        figures = {f"straight_{name}": count for name, count in sorted(outcomes.items())} | dear
        for name in NAMES:
            with front(name, place / name, address[1]) as before:
                mutants = [each for batch in _batches(seeds, dice, effort.rounds // 20) for each in batch]
                attacks = [case.bytes() for case in cases] + mutants
                figures |= {f"{name}_{what}": count for what, count in _through(before, gateway, key, attacks).items()}
            say(f"{name}: {figures[f'{name}_asked']} attacks")
        _good(gateway, key)
        logs = gateway.logs()
        assert '"level":"error"' not in logs and "Traceback" not in logs, logs[-4000:]
        found = audit(gateway, simulator)
    return figures | {"paid_requests": len(found.requests)}


def _good(gateway: Gateway, key: str) -> None:
    status, body = ask(gateway.url, "POST", "/v1/chat/completions", encoded(GOOD, "still there"), key=key)
    assert status == 200, body


def _batches(seeds: Sequence[bytes], dice: random.Random, count: int) -> Iterator[list[bytes]]:
    for done in range(0, count, _AT_ONCE):
        yield [mutate(dice.choice(seeds), dice, seeds) for _ in range(min(_AT_ONCE, count - done))]


# ---- straight at the relay ------------------------------------------------------------------------------------------------------------


def _straight(address: Address, batch: Sequence[bytes]) -> Iterator[str]:
    """All at once, each on a connection of its own that is shut behind it: what is answered at once is answered before the end is seen."""
    with ExitStack() as stack:
        connections = [stack.enter_context(smuggling.connect(address)) for _ in batch]
        for connection, sent in zip(connections, batch, strict=True):
            with suppress(OSError):  # it may be refused before all of it is taken
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
        for connection, sent in zip(connections, batch, strict=True):
            yield _outcome(sent, smuggling.said(connection))


def _outcome(sent: bytes, raw: bytes) -> str:
    try:
        given = smuggling.judge(sent, raw)
    except AssertionError as fault:
        raise AssertionError(f"{fault}\nsent: {sent!r}\nsaid: {raw[:2000]!r}") from None
    served = sum(not answer.closes or answer.status == 404 for answer in given)
    if given and given[-1].closes and given[-1].status != 404:
        return "refused" if not served else "refused_after_answers"
    return "answered" if served else "silent"


# ---- hidden requests that would cost money --------------------------------------------------------------------------------------------


def _dear(gateway: Gateway, address: Address, key: str, dice: random.Random, count: int) -> dict[str, int]:
    """Each hidden request has an id of its own; those that the ledger knows are those that a strict reader finds, as often."""
    cases = [case for case in smuggling.corpus() for _ in range(1 if case.refused else 3)]
    allowed = Counter[str]()
    for done in range(0, count, _AT_ONCE):
        batch: list[bytes] = []
        for number in range(done, min(done + _AT_ONCE, count)):
            evil = _evil(key, f"evil-{number}")
            sent = dice.choice(cases).bytes(evil)
            # Now and then it comes openly, so that this would be seen.
            batch.append(mutate(sent, dice, [case.bytes(evil) for case in dice.sample(cases, 4)]) if number % 30 else evil)
        for sent in batch:
            allowed.update(said.fields.get(b"x-request-id", b"").decode("latin-1")[:128] for said in strict.read(sent).requests)
        for sent, raw in zip(batch, _quiet(address, batch), strict=True):
            _outcome(sent, raw)
    until(lambda: "evil-0" in _paid(gateway), lambda: "nothing was paid for")
    paid = _paid(gateway)
    assert paid <= allowed, f"paid for, and never asked for: {(paid - allowed).most_common(5)}"
    return {"dear_asked": count, "dear_meant": allowed.total() - allowed[""], "dear_paid": paid.total()}


def _paid(gateway: Gateway) -> Counter[str]:
    """How many requests there are by their client's id, which a mutation may have taken from them: ""."""
    with books.store(gateway.home) as connection:
        return Counter(row[0] or "" for row in connection.execute("SELECT client_request_id FROM requests WHERE model = ?", (DEAR,)))


def _evil(key: str, name: str) -> bytes:
    body = encoded(DEAR, "pay for me", max_tokens=5)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: halley.test\r\nAuthorization: Bearer {key}\r\nX-Request-Id: {name}\r\n"
    return head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _quiet(address: Address, batch: Sequence[bytes]) -> list[bytes]:
    """What is said to each until its connection is closed, or until nobody has said anything for a while. Left open by this side:
    a client that shuts its side has hung up, and would not be charged."""
    said = [bytearray() for _ in batch]
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for number, sent in enumerate(batch):
            connection = stack.enter_context(smuggling.connect(address))
            with suppress(OSError):
                connection.sendall(sent)
            selector.register(connection, selectors.EVENT_READ, number)
        while selector.get_map() and (ready := selector.select(_QUIET_S)):
            for found, _ in ready:
                piece = b""
                assert isinstance(found.fileobj, socket.socket)
                with suppress(ConnectionError):
                    piece = found.fileobj.recv(65536)
                if not piece:
                    selector.unregister(found.fileobj)
                said[found.data] += piece
    return [bytes(each) for each in said]


# ---- through a front ------------------------------------------------------------------------------------------------------------------


def _through(before: Front, gateway: Gateway, key: str, attacks: Sequence[bytes]) -> dict[str, int]:
    """After each attack, while its connection is still open, a second client asks for things of its own on a connection that it keeps."""
    answered = _answered(gateway)
    victim = http.client.HTTPConnection(*before.address, timeout=smuggling.LIMIT_S)
    own = 0
    for number, sent in enumerate(attacks):
        with smuggling.connect(before.address) as attacker:
            with suppress(OSError):
                attacker.sendall(sent)
            attacker.settimeout(0.01)
            with suppress(OSError):
                attacker.recv(65536)
            for turn in range(3):
                own += 1
                try:
                    _own_answer(victim, key, f"good-{number}-{turn}", paid=number % 25 == 0 and turn == 1)
                except AssertionError as fault:
                    raise AssertionError(f"behind {before.name}: {fault}\nsent: {sent!r}") from None
    victim.close()
    limit = time.monotonic() + 3.0
    while (handed := before.handed_on()) != (found := _answered(gateway) - answered) and time.monotonic() < limit:
        time.sleep(0.2)
    assert found <= handed, f"{before.name} handed on {handed} requests, and {found} were answered"
    assert found >= own, f"{found} answers were counted for {own} requests of the second client"
    return {"asked": len(attacks), "own_answers": own, "handed_on": handed, "answered": found}


def _own_answer(victim: http.client.HTTPConnection, key: str, name: str, *, paid: bool) -> None:
    if paid:
        fields = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        victim.request("POST", "/v1/chat/completions", encoded(GOOD, name), fields)
    else:
        victim.request("GET", f"/v1/{name}")
    answer = victim.getresponse()
    body = answer.read()
    assert answer.status == (200 if paid else 404), f"{name} was answered with {answer.status}: {body!r}"
    text = json.loads(body)["choices"][0]["message"]["content"] if paid else json.loads(body)["error"]["message"]
    assert name in text, f"{name} was answered with {text!r}"


def _answered(gateway: Gateway) -> int:
    """Refusals and calls that the relay has counted; the figures are a second old at most."""
    time.sleep(1.1)
    _, body = ask(gateway.url, "GET", "/metrics")
    return sum(int(found[1]) for found in _COUNTED.finditer(body.decode()))


CAMPAIGN = Campaign(
    "smuggling",
    "G25",
    "hidden requests and their mutations, straight and behind nginx and haproxy",
    Effort(rounds=3000),
    Effort(rounds=200_000),
    run,
)
