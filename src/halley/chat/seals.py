"""How opaque state travels through a dialect that is not its maker's, and comes back unharmed to the one provider that made it.

A signature or an encrypted thought is handed to the client in the place where its own dialect keeps such a thing, as one string with a
label: `halley.1.ORIGIN.VALUE`. The client repeats it in the next turn without looking at it. A reader takes the label off; a writer gives
the value to its maker alone. What carries no label was made by the dialect that it stands in, by a provider unknown here.
"""

from __future__ import annotations

import re

from halley.chat.model import Seal

PREFIX = "halley.1."
_LABELLED = re.compile(r"halley\.1\.([A-Za-z0-9_-]+:[A-Za-z0-9_-]*)\.(.*)", re.DOTALL)


def origin(dialect: str, provider: str) -> str:
    """Who made a seal: the dialect in which it was said, and the provider's name. Other characters than of a name become `-`."""
    return f"{dialect}:{re.sub('[^A-Za-z0-9_-]', '-', provider)}"


def labelled(seal: Seal) -> str:
    """As it is handed to a client of another dialect."""
    return f"{PREFIX}{seal.origin}.{seal.value}"


def read(text: str, dialect: str) -> Seal:
    """A string that stands where `dialect` keeps its seals."""
    found = _LABELLED.fullmatch(text)
    return Seal(origin(dialect, ""), text) if found is None else Seal(found[1], found[2])


def opens(seal: Seal, target: str) -> bool:
    """Whether the provider `target` (an `origin`) made it, or may have: its own dialect's unlabelled ones."""
    dialect, _, provider = seal.origin.partition(":")
    return seal.origin == target or (not provider and dialect == target.partition(":")[0])
