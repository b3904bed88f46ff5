"""The media routes of the simulator over real sockets: one answer each, and a video that has to be waited for."""

from __future__ import annotations

import json

from halley.simulator.media import CLIP, PIXEL
from tests.simulator.wire import ask, simulator

FORM = (
    b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nsim/echo\r\n'
    b'--b\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n--b--\r\n'
)


async def test_a_picture_is_a_pixel_in_base64_or_at_a_url() -> None:
    async with simulator() as upstream:
        packed = await ask(upstream, "/v1/images/generations", {"model": "sim/echo", "prompt": "p", "n": 2})
        linked = await ask(upstream, "/v1/images/generations", {"model": "sim/echo", "prompt": "p", "response_format": "url"})
        refused = await ask(upstream, "/v1/images/generations", {"model": "sim/echo"})
    assert len(json.loads(packed.body)["data"]) == 2
    assert json.loads(linked.body)["data"][0]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert PIXEL.startswith(b"\x89PNG") and (refused.status, b"prompt" in refused.body) == (400, True)


async def test_speech_is_bytes_of_the_kind_that_was_asked_for() -> None:
    async with simulator() as upstream:
        mp3 = await ask(upstream, "/v1/audio/speech", {"model": "sim/echo", "input": "i", "voice": "alloy"})
        wav = await ask(upstream, "/v1/audio/speech", {"model": "sim/echo", "input": "i", "voice": "alloy", "response_format": "wav"})
    assert (mp3.fields["content-type"], mp3.body[:2]) == ("audio/mpeg", b"\xff\xfb")
    assert (wav.fields["content-type"], len(wav.body)) == ("audio/wav", 16000)


async def test_a_transcription_says_what_was_uploaded() -> None:
    form = {"content_type": "multipart/form-data; boundary=b"}
    async with simulator() as upstream:
        heard = await ask(upstream, "/v1/audio/transcriptions", FORM % (b"file", b'; filename="a.wav"', b"sound\r\n"), **form)
        refused = await ask(upstream, "/v1/audio/transcriptions", FORM % (b"other", b"", b"x"), **form)
        unformed = await ask(upstream, "/v1/audio/transcriptions", {"model": "sim/echo"})
    assert json.loads(heard.body)["text"].startswith("[audio 7 bytes sha256:")
    assert (refused.status, unformed.status) == (400, 400)


async def test_a_video_is_done_at_its_third_look_and_can_then_be_fetched() -> None:
    async with simulator() as upstream:
        made = json.loads(
            (await ask(upstream, "/v1/videos", FORM % (b"prompt", b"", b"p"), content_type="multipart/form-data; boundary=b")).body
        )
        path = f"/v1/videos/{made['id']}"
        early = await ask(upstream, f"{path}/content", None, method="GET")
        stages = [json.loads((await ask(upstream, path, None, method="GET")).body)["status"] for _ in range(2)]
        content = await ask(upstream, f"{path}/content", None, method="GET")
        gone = [await ask(upstream, path, None, method=method) for method in ("DELETE", "GET")]
    assert (made["status"], early.status, stages) == ("queued", 400, ["in_progress", "completed"])
    assert (content.fields["content-type"], content.body) == ("video/mp4", CLIP)
    assert [each.status for each in gone] == [200, 404]


async def test_a_video_of_a_model_that_fails_ends_as_failed() -> None:
    async with simulator() as upstream:
        made = json.loads((await ask(upstream, "/v1/videos", {"model": "sim/fails", "prompt": "p"})).body)
        seen = json.loads((await ask(upstream, f"/v1/videos/{made['id']}", None, method="GET")).body)
    assert (seen["status"], seen["error"]["code"]) == ("failed", "server_error")


async def test_the_catalogue_needs_no_key_and_the_balance_does() -> None:
    async with simulator() as upstream:
        listed = await ask(upstream, "/api/models", None, method="GET", authorization="")
        closed = await ask(upstream, "/v1/dashboard/billing/usage", None, method="GET", authorization="")
        spent = await ask(upstream, "/v1/dashboard/billing/usage", None, method="GET")
    assert json.loads(listed.body)["data"][0]["id"] == "sim/echo"
    assert (closed.status, json.loads(spent.body)["total_usage"]) == (401, 0.0)


async def test_whether_it_lives_is_told_without_a_key() -> None:
    async with simulator(require_key="k") as upstream:
        lives = await ask(upstream, "/health", None, method="GET", authorization="")
        other = await ask(upstream, "/health", {"x": 1}, authorization="")
        ready = await ask(upstream, "/healthy", None, method="GET", authorization="")
    assert [each.status for each in (lives, other, ready)] == [200, 405, 401] and lives.body == b""
