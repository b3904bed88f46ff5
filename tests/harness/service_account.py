"""The key of the simulator's Google account, as the file that Google gives to who makes one. It is good for nothing else."""

from __future__ import annotations

import json

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_EXPONENT = 65537
_P = int(
    "d7fce4aa91d61a7dc887e9c0c0f363a407cb8c277e203212bf611d7e013416be39d60a0e3fde5522c6e079dcef905ffb"
    "b13df6c430f534fdf65d296367b479aa9fece788a98330f658c7c3ff265a874aaaa4132b1990737311cc081a9763d3d0"
    "3f0ccf74b72e218c3c02134b39b5f77a2a982ab1c17a1648c8b82a07d8422855",
    16,
)
_Q = int(
    "c2dff314b7175803b8ad0950682371fc64eae48eac0790a19732710734524f0bfc6b7c16be9990726fb8ada6c3090faf"
    "322247627fd46fa80f186081a287adc6d2a3ba3f64b44c796889c26042b116e9c9f0aee1805ffc5e0e6cf2a955ae9e0b"
    "34b971afc2b572b6c54ed86d97fa19d45024efb24a1b7c7e044d665528bad57f",
    16,
)


def key_file(email: str, token_uri: str) -> str:
    d = pow(_EXPONENT, -1, (_P - 1) * (_Q - 1))
    public = rsa.RSAPublicNumbers(_EXPONENT, _P * _Q)
    numbers = rsa.RSAPrivateNumbers(_P, _Q, d, d % (_P - 1), d % (_Q - 1), pow(_Q, -1, _P), public)
    key = numbers.private_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return json.dumps(
        {"type": "service_account", "client_email": email, "private_key": key, "private_key_id": "k1", "token_uri": token_uri}
    )
