"""Every module has its test: `src/halley/policy/urls.py` is tested in `tests/policy/test_urls.py`.

A module that is better tested through a neighbour stands in `ELSEWHERE` with the file that does it. Modules without a function or class of
their own, such as a table in `__init__.py`, are tested through their users, and schema versions through
the store that they make.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.tree import ROOT, modules, name, parsed

ELSEWHERE: dict[str, str] = {
    # Values that processes exchange: written and read in the tests of both ends.
    "chat/usage.py": "policy/test_pricing.py",
    # Shapes for the OpenAPI document, held against what is written.
    "chat/published.py": "control/test_openapi.py",
    "dialects/openai_responses/published.py": "control/test_openapi.py",
    "dialects/gemini/published.py": "control/test_openapi.py",
    "exchanges/standing.py": "house/test_openapi.py",
    "chat/jsonword.py": "dialects/test_goldens.py",
    "chat/count.py": "exchanges/test_counting.py",
    "chat/peek.py": "dialects/openai_chat/test_request.py",
    "chat/meter.py": "dialects/openai_chat/test_reply.py",
    "dialects/openai_chat/": "dialects/openai_chat/test_doors.py",
    "chat/reading.py": "dialects/openai_chat/test_doors.py",
    "dialects/openai_chat/errors.py": "dialects/openai_chat/test_request.py",
    # The vocabulary: values that the doors of every dialect make and take; their order is held by the fold.
    "chat/model.py": "chat/test_fold.py",
    "chat/events.py": "chat/test_fold.py",
    "chat/doors.py": "chat/test_fold.py",
    # A dialect in a package, tested door by door.
    "dialects/anthropic/": "dialects/anthropic/test_streams.py",
    # Pieces of doors, tested through their doors.
    "dialects/openai_responses/fields.py": "dialects/openai_responses/test_read_ask.py",
    "dialects/openai_responses/content.py": "dialects/openai_responses/test_read_ask.py",
    "dialects/openai_responses/read_items.py": "dialects/openai_responses/test_read_ask.py",
    "dialects/openai_responses/write_items.py": "dialects/openai_responses/test_write_ask.py",
    "dialects/openai_responses/tools.py": "dialects/openai_responses/test_write_ask.py",
    "dialects/openai_responses/replies.py": "dialects/openai_responses/test_read_answer.py",
    "dialects/openai_responses/item_stream.py": "dialects/openai_responses/test_read_stream.py",
    "dialects/openai_responses/envelope.py": "dialects/openai_responses/test_write_answer.py",
    "policy/snapshot.py": "policy/test_routing.py",
    "store/journal.py": "serve/test_journal.py",
    # How requests end early is a part of the loop, and is tested with it.
    "serve/leaving.py": "serve/test_relay.py",
    "serve/heartbeats.py": "gateway/test_heartbeats.py",
    # Kept answers are seen by clients: over real sockets, with both processes and a provider of each dialect.
    "serve/gathering.py": "gateway/test_gathered.py",
    "serve/keeping.py": "gateway/test_kept_answers.py",
    "serve/retrieval.py": "gateway/test_kept_answers.py",
    "serve/claims.py": "gateway/test_idempotency.py",
    "exchanges/kept.py": "gateway/test_kept_answers.py",
    "exchanges/compaction.py": "gateway/test_kept_answers.py",
    # Other gateways' files and databases, as the command that reads them.
    "cli/carried.py": "cli/test_imports.py",
    "cli/from_litellm.py": "cli/test_imports.py",
    "cli/from_new_api.py": "cli/test_imports.py",
    "store/foreign.py": "cli/test_imports.py",
    "cli/balance.py": "cli/test_logs.py",
    # Told over sockets, signed and forged.
    "store/payments.py": "gateway/test_payments.py",
    # Read by every command; `config check` is the one that shows all of it.
    "cli/settings.py": "cli/test_config.py",
    # The parts of a connection, tested through its two ends on real sockets.
    "net/clock.py": "net/test_server.py",
    "net/framing.py": "net/test_server.py",
    "net/request.py": "net/test_server.py",
    "net/listener.py": "net/test_server.py",
    "net/origin.py": "net/test_client.py",
    "net/upstream.py": "net/test_client.py",
    "serve/lector.py": "serve/test_lectern.py",
    # The loop and what it is made of, tested through whole requests on scripted sockets.
    "chat/hosted.py": "serve/test_settle.py",
    "serve/": "serve/test_relay.py",
    # Tables and values of the store, and the control process around it.
    "store/schema.py": "store/test_database.py",
    "store/vault.py": "store/test_database.py",
    "store/keytext.py": "store/test_customers.py",
    "store/values.py": "store/test_customers.py",
    "store/messages.py": "control/test_process.py",
    "control/openapi/": "control/test_openapi.py",
    "control/": "control/test_process.py",
    # What callers ask of it comes in through a relay.
    "control/account/": "gateway/test_account.py",
    "store/logbook.py": "gateway/test_account.py",
    "cli/door.py": "control/test_commands.py",
    "cli/keys.py": "control/test_commands.py",
    "cli/accounts.py": "control/test_commands.py",
    # Budgets as operators and clients meet them: with both processes.
    "cli/teams.py": "processes/test_budgets.py",
    "cli/budgets.py": "processes/test_budgets.py",
    "serve/budgets.py": "processes/test_budgets.py",
    "store/alerts.py": "processes/test_alerts.py",
    "control/herald.py": "processes/test_alerts.py",
    "store/lending.py": "store/test_pots.py",
    "store/spending.py": "gateway/test_panels.py",
    "cli/users.py": "control/test_commands.py",
    "cli/tokens.py": "control/test_commands.py",
    "cli/credit.py": "control/test_commands.py",
    "cli/secrets.py": "control/test_commands.py",
    "cli/ledger.py": "control/test_commands.py",
    "cli/migrate.py": "control/test_commands.py",
    "cli/backup.py": "store/test_dump.py",
    "cli/move.py": "store/test_moving.py",
    "cli/models.py": "control/test_commands.py",
    # What an exchange is: a record, filled in and used by the ways of a whole request.
    "exchanges/record.py": "serve/test_relay.py",
    "dialects/gemini/embedding_pass.py": "exchanges/test_embeddings.py",
    "dialects/gemini/listing.py": "gateway/test_neighbours.py",
    "dialects/openai_responses/counting.py": "exchanges/test_counting.py",
    # Its answer is judged where it is given.
    "serve/translation.py": "gateway/test_neighbours.py",
    "serve/estimates.py": "gateway/test_neighbours.py",
    # Whole processes and programs, tested through their door: an HTTP port or a command line.
    # Other hosts' places, credentials and framings, seen by a whole gateway.
    "simulator/clouds.py": "gateway/test_every_provider.py",
    "simulator/identities.py": "gateway/test_every_provider.py",
    "serve/fetching.py": "gateway/test_pictures.py",
    "serve/doorways.py": "gateway/test_every_provider.py",
    "providers/framings.py": "gateway/test_every_provider.py",
    "simulator/": "simulator/test_upstream.py",
    "cli/simulate.py": "simulator/test_upstream.py",
    "supervise/": "processes/test_supervisor.py",
    "cli/up.py": "processes/test_supervisor.py",
    "cli/reload.py": "processes/test_reload.py",
    "supervise/handover.py": "processes/test_reload.py",
    "supervise/notify.py": "processes/test_activation.py",
    "supervise/signals.py": "processes/test_reload.py",
    "contract/": "contract/test_smoke.py",
    "cli/smoke.py": "contract/test_smoke.py",
    "cli/tester.py": "contract/test_smoke.py",
    "cli/contract.py": "contract/test_contract.py",
}


def expected(path: Path) -> str:
    """The test file of a module: its own, or that of its row, or that of its package's row."""
    module = Path(name(path))
    own = (module.parent / f"test_{module.stem}.py").as_posix()
    if (ROOT / "tests" / own).is_file():
        return own
    return ELSEWHERE.get(module.as_posix(), ELSEWHERE.get(f"{module.parent.as_posix()}/", own))


def has_code(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in parsed(path).body)


@pytest.mark.parametrize(
    "path",
    [path for path in modules() if path.stem not in ("__init__", "__main__") and path.parent.name != "versions" and has_code(path)],
    ids=name,
)
def test_a_module_has_its_test(path: Path) -> None:
    assert (ROOT / "tests" / expected(path)).is_file(), f"write tests/{expected(path)}, or name another file in ELSEWHERE and say why"


def test_elsewhere_names_what_exists() -> None:
    assert not {module for module in ELSEWHERE if not (ROOT / "src" / "halley" / module).exists()}
    assert not {test for test in ELSEWHERE.values() if not (ROOT / "tests" / test).is_file()}
