"""What every file of this dialect needs: its name, and what it shares with OpenAI's other dialect."""

DIALECT = "openai_responses"
CHAT = "openai_chat"
SHARED = frozenset({"user", "moderation", "prompt_cache_options", "prompt_cache_retention"})
"""Fields of the request that chat completions have under the same name, in the same shape (OpenAI's OpenAPI document, read 2026-11)."""
