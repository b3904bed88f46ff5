"""One request, one charge, whatever was tried before: attempts that delivered nothing are the operator's."""

from __future__ import annotations

from pathlib import Path

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.priced import INPUT_USD, OUTPUT_USD, customer, encoded
from tests.harness.simulator import Simulator

COUNT = 40
# What the first provider does to its calls; the second always answers.
FAULTS = {
    "a": "sim/status-503",
    "b": "sim/status-429+retry-after-0",
    "c": "sim/reset-after-head",
    "d": "sim/tokens-20+cut-at-40",
    "e": "sim/html-502",
    "f": "sim/tokens-9+fail-3",
    "g": "sim/status-401",
}
CUT = "d"
GOOD = "sim/tokens-30"


def test_a_request_that_was_tried_twice_is_charged_once(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator, Gateway(tmp_path, configuration(simulator.url)) as gateway:
        key = customer(gateway, "patient", "100")
        with gateway.client() as client:
            for turn in range(COUNT):
                for name in FAULTS:
                    stream = turn % 2 == 0 or name == CUT
                    reply = client.ask("POST", "/v1/chat/completions", encoded(name, stream=stream), key=key)
                    assert reply.status == 200, reply.body()
                    reply.body()
        found = audit(gateway, simulator)
    assert found.endings == {"complete": COUNT * len(FAULTS)}
    assert {len(request.attempts) for request in found.requests} == {1, 2}
    assert all(request.tries == len(request.attempts) for request in found.requests)
    # The cut attempts had generated something, which no customer pays.
    wasted = sum(attempt.cost for request in found.requests for attempt in request.attempts[:-1])
    assert found.loss == wasted > 0


def test_a_whole_answer_that_breaks_off_is_not_bought_twice(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator, Gateway(tmp_path, configuration(simulator.url)) as gateway:
        key = customer(gateway, "unlucky", "100")
        with gateway.client() as client:
            assert client.ask("POST", "/v1/chat/completions", encoded(CUT), key=key).status == 502
        found = audit(gateway, simulator)
    assert found.endings == {"failed": 1}
    assert found.loss == found.bill > 0


def configuration(url: str) -> str:
    providers = [
        f'[[providers]]\nname = "{name}"\nkind = "openai-compatible"\nbase_url = "{url}/v1"\napi_key = "any"\n' for name in ("p", "q")
    ]
    models = [
        f'[[models]]\nid = "{name}"\nmax_output = 400\nprice = {{ input = "{INPUT_USD}", output = "{OUTPUT_USD}" }}\n'
        f'offers = [{{ provider = "p", model = "{fault}" }}, {{ provider = "q", model = "{GOOD}", priority = 1 }}]\n'
        for name, fault in FAULTS.items()
    ]
    return "\n".join([*providers, *models])
