"""Payments as their senders tell of them: events signed as standardwebhooks.com says, without a line of the product."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any


def event(order: str, amount: Any = "10.00", kind: str = "paid", **changes: Any) -> bytes:
    data = {"order": order, "account": "acme", "amount": amount, "currency": "USD", **changes}
    return json.dumps({"type": f"payment.{kind}", "timestamp": "2026-11-26T00:00:00Z", "data": data}).encode()


def fields(body: bytes, secret: str, at: float | None = None, id: str = "msg_1") -> dict[str, str]:
    """The signature's fields. `secret` is in base64, without its prefix; `at` are Unix seconds, now if there are none."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(base64.b64decode(secret), f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {"webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": "v1," + base64.b64encode(digest).decode()}
