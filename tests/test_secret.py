"""A secret leaves through `reveal` and through nothing else."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import pprint
import traceback
from dataclasses import asdict, dataclass
from typing import NamedTuple

import msgspec
import pytest

from halley.secret import Secret, SecretBytes

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


@dataclass
class Box:
    secret: Secret


class Struct(msgspec.Struct):
    secret: Secret
    pepper: SecretBytes


class Row(NamedTuple):
    secret: Secret


@pytest.mark.parametrize(
    "holder",
    [Box(Secret(CANARY)), Struct(Secret(CANARY), SecretBytes(CANARY.encode())), Row(Secret(CANARY)), {"key": [Secret(CANARY)]}],
)
def test_what_holds_it_does_not_show_it(holder: object) -> None:
    shown = [
        repr(holder),
        str(holder),
        f"{holder}",
        "%s %r" % (holder, holder),  # noqa: UP031
        pprint.pformat(holder),
        json.dumps(holder, default=str),
        str(getattr(holder, "__dict__", "")),
    ]
    assert CANARY not in "".join(shown)


def test_no_member_that_a_debugger_lists_shows_it() -> None:
    for secret in (Secret(CANARY), SecretBytes(CANARY.encode())):
        with pytest.raises(TypeError):
            vars(secret)
        seen = [repr(value) for name, value in inspect.getmembers(secret) if name != "reveal"]
        assert CANARY not in "".join(seen) + repr(secret.reveal)


def test_no_copy_leaves_it() -> None:
    for secret in (Secret(CANARY), SecretBytes(CANARY.encode())):
        for take in (copy.copy, copy.deepcopy, pickle.dumps, lambda each: each.__getstate__(), msgspec.to_builtins):
            with pytest.raises(TypeError):
                take(secret)
    with pytest.raises(TypeError):
        asdict(Box(Secret(CANARY)))


def test_a_trace_with_locals_does_not_show_it() -> None:
    secret, others = Secret(CANARY), {"pepper": SecretBytes(CANARY.encode())}
    try:
        raise ValueError(secret, others)
    except ValueError as fault:
        told = traceback.TracebackException.from_exception(fault, capture_locals=True)
        assert CANARY not in "".join(told.format()) and "Secret(…)" in "".join(told.format())


def test_an_empty_one_is_false() -> None:
    assert not Secret("") and Secret("x") and not SecretBytes(b"")


def test_text_and_bytes_are_different() -> None:
    assert Secret(CANARY) != SecretBytes(CANARY.encode())
    assert SecretBytes(b"a") == SecretBytes(b"a")
