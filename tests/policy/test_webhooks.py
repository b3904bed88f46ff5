"""Signatures of Standard Webhooks, against the vector of its reference libraries and against forgers."""

import base64

import pytest

from halley.policy.webhooks import TOLERANCE_S, BadSecret, Unsigned, headers, read_secret, sign, verify
from halley.secret import Secret, SecretBytes

WRITTEN = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
EVENT, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
KEY = read_secret(WRITTEN)
OTHER = SecretBytes(b"o" * 24)


def fields(**changed: bytes) -> dict[bytes, bytes]:
    made = {name.encode(): value.encode() for name, value in headers([KEY], EVENT, AT, BODY).items()}
    return made | {name.replace("_", "-").encode(): value for name, value in changed.items()}


def test_an_event_is_signed_as_the_reference_libraries_sign_it() -> None:
    assert sign(KEY, EVENT, AT, BODY) == SIGNED
    assert headers([KEY], EVENT, AT, BODY) == {"webhook-id": EVENT, "webhook-timestamp": str(AT), "webhook-signature": SIGNED}


def test_an_event_of_our_own_is_recognised_under_the_old_secret_and_the_new() -> None:
    signed_by_both = {name.encode(): value.encode() for name, value in headers([OTHER, KEY], EVENT, AT, BODY).items()}
    assert verify([KEY], signed_by_both, BODY, AT) == EVENT
    assert verify([OTHER], signed_by_both, BODY, AT) == EVENT
    assert verify([OTHER, KEY], fields(), BODY, AT + TOLERANCE_S) == EVENT


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"webhook_signature": b""}, "signature"),
        ({"webhook_signature": b"v1,"}, "signature"),
        ({"webhook_signature": SIGNED.encode().replace(b"v1,", b"v1a,")}, "signature"),
        ({"webhook_signature": SIGNED.encode().replace(b"v1,", b"")}, "signature"),
        ({"webhook_signature": SIGNED.encode()[:-1]}, "signature"),
        ({"webhook_signature": b" ".join([b"v1,AAAA"] * 40) + b" " + SIGNED.encode()}, "signature"),
        ({"webhook_signature": SIGNED.encode() + b"\xff"}, "signature"),
        ({"webhook_id": b"msg_another"}, "signature"),
        ({"webhook_id": b""}, "id"),
        ({"webhook_id": b"m" * 257}, "id"),
        ({"webhook_timestamp": b""}, "timestamp"),
        ({"webhook_timestamp": b"1614265331"}, "signature"),
        ({"webhook_timestamp": b"+1614265330"}, "timestamp"),
        ({"webhook_timestamp": b"1_614_265_330"}, "timestamp"),
        ({"webhook_timestamp": b"1614265330.0"}, "timestamp"),
        ({"webhook_timestamp": b"nan"}, "timestamp"),
        ({"webhook_timestamp": b"9" * 40}, "timestamp"),
    ],
)
def test_whatever_was_changed_is_refused(changed: dict[str, bytes], word: str) -> None:
    with pytest.raises(Unsigned, match=f"webhook-{word}"):
        verify([KEY], fields(**changed), BODY, AT)


def test_another_body_another_secret_and_no_secret_are_refused() -> None:
    for keys, body in (([KEY], BODY + b" "), ([OTHER], BODY), ([], BODY)):
        with pytest.raises(Unsigned, match="webhook-signature"):
            verify(keys, fields(), body, AT)


@pytest.mark.parametrize("late", [TOLERANCE_S + 1, -TOLERANCE_S - 1])
def test_an_old_event_and_one_from_the_future_are_refused(late: int) -> None:
    with pytest.raises(Unsigned, match="webhook-timestamp"):
        verify([KEY], fields(), BODY, AT + late)


@pytest.mark.parametrize("size", [0, 23, 65])
def test_a_secret_of_the_wrong_size_is_refused_without_being_repeated(size: int) -> None:
    text = "whsec_" + base64.b64encode(b"k" * size).decode()
    with pytest.raises(BadSecret) as refused:
        read_secret(Secret(text))
    assert not size or text.removeprefix("whsec_") not in str(refused.value)


@pytest.mark.parametrize("text", ["whsec_not base64!", "whsec_" + "\u0661" * 30, "whsec_abc"])
def test_a_secret_that_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(BadSecret):
        read_secret(Secret(text))


def test_a_secret_is_read_with_and_without_its_prefix() -> None:
    for text in ("whsec_" + base64.b64encode(b"k" * 64).decode(), base64.b64encode(b"k" * 64).decode()):
        assert read_secret(Secret(text)) == SecretBytes(b"k" * 64)
