"""The provider table: every row says where, how and by whose word."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from halley.providers.auth import SIGNERS
from halley.providers.compatible import KINDS
from halley.providers.framings import FRAMINGS
from halley.providers.row import bases


def test_there_is_a_row_for_each_of_the_usual_hosts() -> None:
    usual = (
        "openai anthropic gemini azure vertex bedrock mistral deepseek groq xai together fireworks openrouter cometapi ollama vllm "
        "lmstudio cohere perplexity moonshot dashscope zhipu minimax sambanova cerebras nvidia deepinfra hyperbolic novita siliconflow "
        "nebius huggingface github cloudflare volcengine openai-compatible"
    )
    assert not set(usual.split()) - KINDS.keys()


@pytest.mark.parametrize("name", KINDS)
def test_a_row_is_complete(name: str) -> None:
    kind = KINDS[name]
    assert kind.title and (kind.docs.startswith("https://") or name == "local")
    assert kind.speaks and all(kind.scheme(dialect) in SIGNERS for dialect in kind.speaks)
    assert kind.cancel in ("stops_billing", "bills_to_end")
    assert bool(kind.pattern) == (not kind.base_url) or name == "local"


@pytest.mark.parametrize("name", KINDS)
def test_a_base_url_ends_as_its_first_dialect_says(name: str) -> None:
    kind = KINDS[name]
    url = kind.base_url or kind.pattern or "http://127.0.0.1:1/v1"
    assert list(bases(kind, url)) == list(kind.speaks)
    for spoken in kind.speaks.values():
        assert not spoken.base.endswith("/") and (spoken.base == "" or spoken.base.startswith("/"))


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.base_url or kind.pattern])
def test_a_host_is_reached_by_tls_unless_it_is_this_machine(name: str) -> None:
    url = urlsplit(KINDS[name].base_url or KINDS[name].pattern)
    assert url.scheme == "https" or (url.scheme == "http" and url.hostname == "127.0.0.1")
    assert not url.query and not url.path.endswith("/")


def test_a_variable_and_a_host_belong_to_one_row() -> None:
    for values in ([kind.env for kind in KINDS.values() if kind.env], [kind.base_url for kind in KINDS.values() if kind.base_url]):
        assert len(values) == len(set(values))


def test_what_needs_a_key_says_in_which_variable_it_usually_is() -> None:
    assert [name for name, kind in KINDS.items() if kind.needs_key and not kind.env] == []


def test_every_row_has_a_scheme_and_a_framing_that_relays_know() -> None:
    for kind in KINDS.values():
        assert all(kind.scheme(dialect) in SIGNERS for dialect in kind.speaks)
        assert all(spoken.framing == "sse" or spoken.framing in FRAMINGS for spoken in kind.speaks.values())
