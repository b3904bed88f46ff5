"""The contract tester: contracts as data, one attempt at a time, judged from evidence, reported in two records.

It shares no reader and no arithmetic with the gateway, because it judges gateways, ours among them.
"""
