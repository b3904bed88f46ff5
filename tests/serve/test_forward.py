"""What is passed on to control leaves nothing behind, however it ends."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from halley.serve.forward import Forward
from tests.serve.rig import rig


def alive() -> int:
    return sum(type(each) is Forward for each in gc.get_objects())


@pytest.mark.parametrize("ending", ["answered", "failed", "left"])
def test_a_request_to_control_leaves_nothing_for_the_garbage_collector(ending: str, tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        gc.collect()
        gc.disable()
        try:
            client = found.post(b"", method=b"GET", path=b"/docs")
            assert alive() == 1
            match ending:
                case "answered":
                    found.call.reply(200, b"a page", kind=b"text/html")
                    assert (client.status, client.body) == (200, b"a page")
                case "failed":
                    found.call.fail("cut")
                    assert client.status == 503
                case _:
                    client.leave()
                    assert found.call.aborted
            found.calls.clear()
            assert alive() == 0
        finally:
            gc.enable()
