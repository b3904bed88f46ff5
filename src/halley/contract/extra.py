"""Header fields that the operator adds to every request, for an endpoint that wants some of its own, and what of a command may be kept.

`NAME=VALUE` is sent as it stands; `NAME=env:VARIABLE` takes the value from the environment and is the only way for a secret. A field that
carries the tester's own key is refused: a request without a key must stay one. Names are kept in records, values never. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from halley.redaction import HIDDEN, Redactor, is_variable
from halley.secret import Secret

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_OWN = {
    "authorization", "x-api-key", "x-goog-api-key", "host", "content-length", "content-type", "transfer-encoding", "connection", "accept",
    "accept-encoding", "user-agent", "expect", "upgrade", "te", "trailer", "proxy-authorization",
}  # fmt: skip
# What of a `--field` tells no text: a number, a truth value, null, or one short word.
_WORD = re.compile(r'-?[0-9.eE+-]{1,24}|true|false|null|"[A-Za-z0-9._-]{0,24}"')


_WITH_VALUES = ("--header", "--field")


class BadHeader(ValueError):
    """A header that cannot be sent; the message never repeats its value."""


class Header(msgspec.Struct, frozen=True):
    """`variable` is where the value came from, empty if it was written out."""

    name: str
    value: Secret
    variable: str = ""


def header(text: str, environ: Mapping[str, str]) -> Header:
    """Raises BadHeader."""
    name, equals, value = text.partition("=")
    if not equals or not _NAME.fullmatch(name):
        raise BadHeader("--header takes NAME=VALUE, or NAME=env:VARIABLE for a secret")
    if name.lower() in _OWN:
        raise BadHeader(f"--header {name}: the tester sets this field itself; the key comes from the environment (--key-env)")
    variable = ""
    if value.startswith("env:"):
        variable = value.removeprefix("env:")
        if not is_variable(variable):
            raise BadHeader(f"--header {name}: env: wants the name of a variable, such as env:PROVIDER_KEY")
        value = environ.get(variable, "")
        if not value.strip():
            raise BadHeader(f"--header {name}: {variable} is not set")
    elif Redactor().clean(f"{name}: {value}") != f"{name}: {value}":
        raise BadHeader(f"--header {name}: this looks like a secret; put it into a variable and write {name}=env:VARIABLE")
    if any(not " " <= character <= "~" and character != "\t" for character in value):
        raise BadHeader(f"--header {name}: the value has a line break or another character that no header may hold")
    return Header(name, Secret(value.strip()), variable)


def command(words: Sequence[str]) -> list[str]:
    """The words of a command line as they may be kept: without the values of headers, and without the text of a field."""
    return list(_kept(words))


def _kept(words: Sequence[str]) -> Iterator[str]:
    for before, word in zip(("", *words), words, strict=False):
        option, equals, given = word.partition("=")
        if before in _WITH_VALUES:
            yield _shown(before, word)
        elif equals and option in _WITH_VALUES:
            yield f"{option}={_shown(option, given)}"
        else:
            yield word


def _shown(option: str, text: str) -> str:
    name, _, value = text.partition("=")
    if option == "--header":
        keep = value.startswith("env:") and is_variable(value.removeprefix("env:"))
    else:
        keep = _WORD.fullmatch(value) is not None
    return text if keep else f"{name if _NAME.fullmatch(name) else HIDDEN}={HIDDEN}"
