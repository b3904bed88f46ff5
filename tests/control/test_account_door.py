"""Whoever knocks at the account's API: junk reaches no database, and what is unknown is looked up by the same few statements as a key."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Engine, event

from halley.control.account.door import Door
from halley.errors import Condition, Refused
from halley.secret import Secret
from halley.store import customers, keytext
from halley.store.database import open_store
from halley.store.values import Limits

KNOCKS = 5_000
PIECES = (
    "' OR 1=1 --",
    "; DROP TABLE keys;",
    "%s",
    "{0}",
    "\\x00",
    "sk-",
    "pat-",
    "Ü",
    "\u202e",
    "union select digest from keys",
    "$1",
    "?",
)


def junk(dice: random.Random) -> str:
    """Anything but a key or token."""
    match dice.randrange(4):
        case 0:
            text = keytext.make(dice.choice((keytext.KEY, keytext.TOKEN)))
            place = dice.randrange(len(text))
            return text[:place] + dice.choice("!'\";") + text[place + 1 :]
        case 1:
            return "".join(dice.choices(PIECES, k=dice.randrange(1, 9)))
        case 2:
            return dice.choice(("sk-", "pat-", "")) + "a" * dice.choice((0, 1, 37, 38, 39, 16384))
        case _:
            return "".join(chr(dice.randrange(33, 0x3000)) for _ in range(dice.randrange(1, 60)))


def test_junk_reaches_no_database_and_unknown_keys_no_other_statement_than_known_ones(tmp_path: Path) -> None:
    store = open_store("", tmp_path, "", {})
    said: list[str] = []
    event.listen(Engine, "before_cursor_execute", listener := lambda *call: said.append(cast("str", call[2])))
    try:
        with store.begin() as connection:
            customers.ensure_default(connection, 1.0)
            known, _ = customers.create_key(connection, store.pepper, "known", customers.DEFAULT, Limits(), 1.0)
        door = Door(cast("Any", SimpleNamespace(store=store, now=lambda: 2.0)), *cast("Any", (None, None, None)))
        said.clear()
        assert door.visitor(known, "127.0.0.1").name == "known"
        wanted = set(said)
        dice = random.Random(9)
        said.clear()
        for _ in range(KNOCKS):
            with pytest.raises(Refused) as refused:
                door.visitor(Secret(junk(dice)), "127.0.0.1")
            assert refused.value.condition is Condition.BAD_KEY
        assert said == []
        for _ in range(KNOCKS // 100):
            with pytest.raises(Refused):
                door.visitor(Secret(keytext.make()), "127.0.0.1")
        assert said and set(said) == wanted
    finally:
        event.remove(Engine, "before_cursor_execute", listener)
        store.close()
