"""Media within a body: data URLs, and what base64 is by its first bytes."""

from __future__ import annotations

import base64

import pytest

from halley.chat import media
from halley.chat.model import Inline


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = encoded(b"\x89PNG\r\n\x1a\n" + bytes(20))


@pytest.mark.parametrize(
    "url, found",
    [
        ("data:image/gif;base64,AA==", Inline("image/gif", "AA==")),
        ("data:text/plain;charset=utf-8;base64,AA==", Inline("text/plain", "AA==")),
        (f"data:;base64,{PNG}", Inline("image/png", PNG)),
        ("data:;base64,AA==", Inline("video/mp4", "AA==")),
        ("data:text/plain,hello", None),
        ("https://images.example/a.png", None),
    ],
)
def test_a_data_url_is_what_it_says_or_what_it_holds(url: str, found: Inline | None) -> None:
    assert media.inline(url, "video/mp4") == found


def test_what_was_read_is_written_again() -> None:
    url = "data:image/gif;base64,AA=="
    assert media.data_url(media.inline(url) or Inline("", "")) == url


@pytest.mark.parametrize(
    "data, mime",
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio/wav"),
        (b"ID3\x04" + bytes(12), "audio/mpeg"),
        (b"\xff\xfb\x90\x64" + bytes(12), "audio/mpeg"),
        (b"\xff\xf1\x50\x80" + bytes(12), "audio/aac"),
        (b"fLaC" + bytes(12), "audio/flac"),
        (b"OggS" + bytes(12), "audio/ogg"),
        (bytes(4) + b"ftypM4A " + bytes(8), "audio/mp4"),
        (b"\xff\xff\x00\x01" + bytes(12), "audio/L16;rate=24000"),
        (bytes(24), "audio/L16;rate=24000"),
        (b"", "audio/L16;rate=24000"),
    ],
)
def test_a_sound_is_named_by_its_first_bytes(data: bytes, mime: str) -> None:
    assert media.spoken(encoded(data)) == Inline(mime, encoded(data))


def test_what_is_no_base64_is_named_all_the_same() -> None:
    assert media.spoken("%%").mime == "audio/L16;rate=24000"
    assert media.sniffed("%%", "image/png") == "image/png"


@pytest.mark.parametrize("word", ["wav", "mp3", "flac", "opus", "pcm16", "aac", "m4a"])
def test_a_word_for_an_encoding_comes_back(word: str) -> None:
    assert media.sound_format(media.sound_mime(word)) == word


def test_encodings_without_a_word_have_none() -> None:
    assert media.sound_format("audio/x-strange") is None
    assert media.sound_mime("strange") == "audio/strange"
    assert media.sound_format("audio/L16;rate=24000") == "pcm16"
