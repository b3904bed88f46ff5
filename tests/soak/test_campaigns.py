"""The campaigns are found and described; running them is `script/soak`'s work."""

from __future__ import annotations

from soak.campaign import campaigns


def test_every_campaign_says_what_it_is_for() -> None:
    found = campaigns()
    assert "kills" in found
    for campaign in found.values():
        assert campaign.goal.startswith("G"), campaign
        assert campaign.about, campaign
        assert campaign.short.rounds <= campaign.full.rounds, campaign
        assert campaign.short.seconds <= campaign.full.seconds, campaign
