"""Seals in `thoughtSignature`, and the cut that takes those of other makers out."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.chat.model import Seal
from halley.dialects.gemini import seals
from tests.dialects.gemini.samples import FOREIGN, OWN


def test_a_signature_of_this_dialect_is_kept_letter_for_letter() -> None:
    assert seals.read(OWN) == Seal("gemini:", OWN)
    assert seals.written(Seal("gemini:main", OWN)) == OWN


@given(st.text(max_size=60))
def test_one_of_another_maker_survives_a_client_that_decodes_it_and_encodes_it_anew(value: str) -> None:
    seal = Seal("anthropic:theirs", value)
    said = seals.written(seal)
    assert seals.read(said) == seal
    again = base64.urlsafe_b64encode(base64.b64decode(said)).decode()
    assert seals.read(again) == seals.read(again.rstrip("=")) == seal


def test_one_that_was_cut_is_nobodys() -> None:
    assert seals.read(FOREIGN[:13]).origin == "gemini:"


@pytest.mark.parametrize("name", ["thoughtSignature", "thought_signature"])
@pytest.mark.parametrize("space", ["", " ", "\n  "])
def test_foreign_seals_are_cut_out_and_every_other_byte_stays(name: str, space: str) -> None:
    def body(seal: str) -> bytes:
        member = f'"{name}":{space}"{seal}"'
        parts = [f'{{"text": "a",{space}{member}}}', f'{{{member},{space}"text": "b"}}', f'{{"functionCall": {{}},{member},"x": 1}}']
        return f'{{"contents": [{{"parts": [{", ".join(parts)}]}}]}}'.encode()

    cut = json.loads(seals.without_foreign(body(FOREIGN)))
    assert cut["contents"][0]["parts"] == [{"text": "a"}, {"text": "b"}, {"functionCall": {}, "x": 1}]
    assert seals.without_foreign(body(OWN)) == body(OWN)


@pytest.mark.parametrize("call, name", [("functionCall", "thoughtSignature"), ("function_call", "thought_signature")])
def test_a_call_whose_seal_is_foreign_is_marked_for_models_that_demand_one(call: str, name: str) -> None:
    parts: list[dict[str, object]] = [{"text": "a", name: FOREIGN}, {call: {"name": "f"}, name: FOREIGN + "X"}, {call: {}, name: OWN}]
    cut = json.loads(seals.without_foreign(json.dumps({"contents": [{"parts": parts}]}).encode(), sealed_calls=True))
    assert cut["contents"][0]["parts"] == [{"text": "a"}, {call: {"name": "f"}, name: seals.UNSIGNED_CALL}, parts[2]]


def test_text_that_looks_like_one_stays() -> None:
    text = json.dumps({"text": f'write {{"thoughtSignature": "{FOREIGN}"}}', "other": FOREIGN}).encode()
    assert seals.without_foreign(text) == text
