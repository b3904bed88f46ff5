"""One module per campaign, each with its `CAMPAIGN`; `soak.campaign.campaigns` finds them by their names."""
