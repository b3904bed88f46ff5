"""What control shows to the public: metrics for loopback, documentation, and JSON for everything else."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest

from halley.control import pages, web
from halley.policy.snapshot import Snapshot
from halley.store.messages import Counters


def test_metrics_are_summed_over_relays_and_shown_to_loopback_only(start: Callable[..., Any], relay: Callable[..., Any]) -> None:
    control = start()
    links = [relay(control, f"relay-{number}-1-1") for number in range(2)]
    for number, link in enumerate(links):
        link.next(Snapshot)
        link.send(Counters({'halley_requests_total{model="m"}': 10 + number}, ready=True))

    def text() -> str:
        status, fields, body = control.http("web.sock", "GET", "/metrics", x_halley_peer="127.0.0.1", x_request_id="req_9")
        assert (status, fields["x-request-id"], fields["x-content-type-options"]) == (200, "req_9", "nosniff")
        return body.decode()

    control.until(lambda: 'halley_requests_total{model="m"} 21\n' in text())
    assert "# TYPE halley_requests_total counter\n" in text() and "halley_relays_ready 2\n" in text()
    for peer in ("203.0.113.9", "", "localhost"):
        status, _, body = control.http("web.sock", "GET", "/metrics", x_halley_peer=peer)
        assert status == 401 and msgspec.json.decode(body)["error"]["code"] == "invalid_api_key"


def test_every_other_path_is_json_and_every_answer_is_dressed(start: Callable[..., Any]) -> None:
    control = start()
    assert control.http("web.sock", "GET", "/docs/")[2] == control.http("web.sock", "GET", "/docs")[2]
    asked = (
        ("GET", "/nowhere", 404),
        ("POST", "/docs", 405),
        ("GET", "/docs/..%2f..%2fetc", 404),
        # No redirect, which would lead to wherever the client's Host says, with its key and without TLS.
        ("GET", "/api/balance/", 404),
        ("POST", "/api/payments/shop/", 404),
        ("GET", "/", 200),
    )
    for method, path, wanted in asked:
        status, fields, body = control.http("web.sock", method, path, x_request_id="req_1")
        assert status == wanted and fields["x-request-id"] == "req_1", path
        assert fields["content-security-policy"].startswith("default-src 'none'")
        if status != 200:
            assert msgspec.json.decode(body)["error"]["code"] == "unknown_url"
            assert fields.get("allow") == ("GET, HEAD" if status == 405 else None)
        else:
            assert b"/v1</code>" in body


def test_documentation_is_rendered_without_raw_html(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "start.md").write_text("# Start\n\n<script>alert(1)</script>\n\n| a |\n|---|\n| b |\n")
    monkeypatch.setattr(pages, "directory", lambda: tmp_path)
    pages.document.cache_clear()
    html = pages.document("start")
    assert html is not None and "<h1>Start</h1>" in html and "<table>" in html and "<script>" not in html
    assert pages.document("../start") is None and pages.names() == ["start"] and pages.markdown("start") is not None
    pages.document.cache_clear()


def test_figures_are_written_with_one_type_line_per_name() -> None:
    figures = {'a_total{x="1"}': 1, "b": 2, 'a_total{x="2"}': 3}
    assert web.render(figures) == '# TYPE a_total counter\na_total{x="1"} 1\na_total{x="2"} 3\n# TYPE b gauge\nb 2\n'


def test_a_bug_is_told_with_nothing_but_the_requests_id(start: Callable[..., Any]) -> None:
    control = start()
    token = control.cli("tokens", "create", "--name", "ci").stdout.strip()
    with closing(sqlite3.connect(control.home / "halley.db", timeout=10)) as raw:
        raw.execute("DROP TABLE usage_days")
        raw.commit()
    status, _, body = control.http("web.sock", "GET", "/api/usage", authorization=token, x_request_id="req_1")
    assert (status, msgspec.json.decode(body)["error"]["code"]) == (500, "internal_error") and b"usage_days" not in body
    assert control.http("web.sock", "GET", "/api/balance", authorization=token)[0] == 200
