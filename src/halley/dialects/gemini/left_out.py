"""What answers of this dialect have that crosses into no other, and is no loss: the one table, by place, with the reason.

A frame of a stream is a whole answer here, so that the places are the same. Fields as Google's reference of 2026-11 has them.
"""

from __future__ import annotations

from typing import Final

_SUM: Final = "a sum of what is told"
_SPLIT: Final = "a sum that is told, split by kinds of content"

LEFT_OUT: Final[dict[str, str]] = {
    "createTime": "when the provider began; an answer says when the gateway did",
    "candidates[].content.role": "an answer is always the model's",
    "candidates[].tokenCount": "said again in the usage",
    "candidates[].logprobsResult.chosenCandidates[].tokenId": "a number that the provider alone knows the token by",
    "candidates[].logprobsResult.topCandidates[].candidates[].tokenId": "a number that the provider alone knows the token by",
    "candidates[].logprobsResult.logProbabilitySum": _SUM,
    "usageMetadata.totalTokenCount": _SUM,
    "usageMetadata.cacheTokensDetails": _SPLIT,
    "usageMetadata.toolUsePromptTokensDetails": _SPLIT,
    "usageMetadata.thoughtsTokensDetails": _SPLIT,
    "usageMetadata.trafficType": "how the gateway's operator pays for it",
}

PASSED_OVER: Final[dict[str, str]] = {}
"""Events of a stream that say nothing of the answer; its events have no names."""
