"""The benchmark of folding counts only what the ledger really holds."""

import pytest

from bench import folding
from bench.canned import Wrong
from halley.store.journal import End, Start, decode_lines


def test_a_short_run_ends_with_the_exact_ledger_and_all_its_figures():
    found = folding.measure(requests=1500, per_round=400)
    assert 0 < found.cpu_us < 1e4 and found.ratio == found.cpu_us / found.reference_us
    assert found.journal_bytes > 100 and found.store_bytes > 100


def test_the_journal_holds_every_request_once_with_open_ones_at_every_cut():
    pieces = [decode_lines(piece) for piece in folding.pieces(1000, 300)]
    records = [record for piece in pieces for record in piece]
    assert [sum(type(record) is kind for record in records) for kind in (Start, End)] == [1000, 1000]
    assert len({record.request for record in records}) == 1000
    begun = ended = 0
    for piece in pieces[:-1]:
        begun += sum(type(record) is Start for record in piece)
        ended += sum(type(record) is End for record in piece)
        assert begun - ended == 64


def test_a_ledger_that_lacks_a_request_is_no_figure(monkeypatch: pytest.MonkeyPatch):
    whole = list(folding.pieces(100, 50))
    monkeypatch.setattr(folding, "pieces", lambda requests, per_round: whole[:-1])
    with pytest.raises(Wrong, match="of 100 requests are in the ledger"):
        folding.measure(requests=100, per_round=50)
