"""A secret leaves through `reveal` and through nothing else."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import msgspec
import pytest

from halley.secret import Secret

CANARY = "canary-value"


def test_no_rendering_shows_it() -> None:
    secret = Secret(CANARY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>40}",
        f"{secret!r}",
        "".join(map(str, [secret])),
        f"{[secret]} { {'k': secret} }",
    ]
    assert CANARY not in "".join(shown)
    assert secret.reveal() == CANARY


def test_it_is_not_serialised() -> None:
    secret = Secret(CANARY)
    for write in (json.dumps, pickle.dumps, msgspec.json.encode, msgspec.msgpack.encode, copy.deepcopy):
        with pytest.raises(TypeError):
            write(secret)


def test_it_has_no_dictionary_to_dump() -> None:
    assert not hasattr(Secret(CANARY), "__dict__")


def test_a_trace_does_not_show_it() -> None:
    secret = Secret(CANARY)
    try:
        raise ValueError(secret)
    except ValueError as fault:
        assert CANARY not in "".join(traceback.format_exception(fault))


def test_equal_values_are_equal_and_hash_alike() -> None:
    assert Secret(CANARY) == Secret(CANARY) and hash(Secret(CANARY)) == hash(Secret(CANARY))
    assert Secret(CANARY) != Secret("other") and Secret(CANARY) != CANARY
    assert hash(Secret(CANARY)) != hash(CANARY)
