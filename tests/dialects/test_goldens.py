"""Every crossing makes exactly what its golden says. Another golden is another product: `script/goldens`, then read the diff."""

from __future__ import annotations

import pytest

from tests.harness.crossing_pages import Page, pages
from tests.harness.goldens import Golden, goldens


@pytest.mark.parametrize("golden", list(goldens()), ids=lambda golden: "/".join(golden.path.parts[-3:]))
def test_a_crossing_makes_what_its_golden_says(golden: Golden) -> None:
    assert golden.path.exists(), "make it with script/goldens, and read it"
    assert golden.text == golden.path.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", list(pages()), ids=lambda page: page.path.stem)
def test_a_page_about_a_crossing_says_what_its_goldens_say(page: Page) -> None:
    assert page.text == page.path.read_text(encoding="utf-8"), "script/goldens makes it anew"
