"""In whose words a path answers."""

import pytest

from halley.dialects import anthropic, error_writer, gemini, openai_chat


@pytest.mark.parametrize(
    "path, writer",
    [
        (b"/v1/messages", anthropic.write_error),
        (b"/v1/messages/", anthropic.write_error),
        (b"/v1/messages/count_tokens", anthropic.write_error),
        (b"/v1/messagesx", openai_chat.write_error),
        (b"/v1beta", gemini.write_error),
        (b"/v1beta/models/x:generateContent", gemini.write_error),
        (b"/v1beta2", openai_chat.write_error),
        (b"/v1", openai_chat.write_error),
        (b"/", openai_chat.write_error),
        (b"", openai_chat.write_error),
    ],
)
def test_a_prefix_is_whole_segments(path: bytes, writer: object) -> None:
    assert error_writer(path) is writer
