"""Campaigns: faults, floods and kills against a whole gateway, seeded, with the books held against the simulator's bill afterwards."""
