"""Teams and budgets: which there are, and whose they are to change."""

from __future__ import annotations

import pytest

from halley.policy.budgets import BudgetRow
from halley.secret import Secret
from halley.store import budgets, customers, keytext
from halley.store.customers import Taken, Unknown
from halley.store.database import Store
from halley.store.values import FileBudget, FileKey, FileTeam, Limits


def test_a_budget_is_made_changed_and_lifted(store: Store) -> None:
    with store.begin() as connection:
        made = budgets.set_budget(connection, ("acme", "account", "whatever"), 5, "month", None, 1.0)
        changed = budgets.set_budget(connection, ("acme", "account", ""), 7, "day", 3600, 2.0)
        assert changed.row == BudgetRow(made.id, "acme", "account", "acme", 7, "day", 3600) and changed.created_at == 1.0
        assert budgets.snapshot_rows(connection) == (changed.row,)
        assert budgets.remove_budget(connection, made.id, 3.0) == changed
        assert budgets.list_budgets(connection) == []
        with pytest.raises(Unknown):
            budgets.remove_budget(connection, made.id, 4.0)
        assert budgets.set_budget(connection, ("acme", "account", ""), 5, "none", None, 5.0).id != made.id


def test_a_key_is_named_by_its_name_or_id_and_only_in_its_account(store: Store) -> None:
    with store.begin() as connection:
        _, key = customers.create_key(connection, store.pepper, "ci", "acme", Limits(), 0.0)
        made = budgets.set_budget(connection, ("acme", "key", "ci"), 5, "none", None, 0.0)
        assert made.subject == key.id == budgets.set_budget(connection, ("acme", "key", key.id), 6, "none", None, 0.0).subject
        assert budgets.of_keys(connection, [key.id, "key_other"]) == {key.id: budgets.find_budget(connection, made.id, "acme")}
        for place in (("free", "key", "ci"), ("acme", "team", "none"), ("nobody", "account", "")):
            with pytest.raises(Unknown):
                budgets.set_budget(connection, place, 5, "none", None, 0.0)  # type: ignore[arg-type]
        with pytest.raises(Unknown):
            budgets.remove_budget(connection, made.id, 1.0, "free")


def test_a_team_is_there_before_its_keys_and_goes_after_them_with_its_budget(store: Store) -> None:
    with store.begin() as connection:
        with pytest.raises(Unknown, match="no team"):
            customers.create_key(connection, store.pepper, "ci", "acme", Limits(team="crew"), 0.0)
        budgets.create_team(connection, "acme", "crew", 0.0)
        with pytest.raises(Taken):
            budgets.create_team(connection, "acme", "crew", 0.0)
        _, key = customers.create_key(connection, store.pepper, "ci", "acme", Limits(team="crew"), 0.0)
        assert [row.team for row in customers.snapshot_rows(connection)[0]] == ["crew"]
        budgets.set_budget(connection, ("acme", "team", "crew"), 5, "none", None, 0.0)
        with pytest.raises(Taken, match='key "ci"'):
            budgets.remove_team(connection, "acme", "crew", 1.0)
        customers.revoke_key(connection, key.id, 1.0)
        budgets.remove_team(connection, "acme", "crew", 1.0)
        assert budgets.list_budgets(connection) == budgets.list_teams(connection) == []


def test_what_the_file_names_is_the_files(store: Store) -> None:
    text = Secret(keytext.make())
    team, key = FileTeam("acme", "crew"), FileKey("ci", "acme", text, Limits(team="crew"))
    wanted = (FileBudget("acme", "team", "crew", 5, "month"), FileBudget("acme", "key", "ci", 6, "day"))

    def adopt(teams: tuple[FileTeam, ...], keys: tuple[FileKey, ...], limits: tuple[FileBudget, ...]) -> None:
        with store.begin() as connection:
            budgets.adopt_teams(connection, teams, 0.0)
            customers.adopt_keys(connection, store.pepper, keys, 0.0)
            budgets.adopt(connection, teams, limits, 0.0)

    for _ in range(2):
        adopt((team,), (key,), wanted)
    with store.begin() as connection:
        first = budgets.list_budgets(connection)
        assert [(each.level, each.row.amount, each.source) for each in first] == [("key", 6, "file"), ("team", 5, "file")]
        with pytest.raises(Taken, match="configuration file"):
            budgets.set_budget(connection, ("acme", "team", "crew"), 9, "none", None, 1.0)
        with pytest.raises(Taken, match="configuration file"):
            budgets.remove_budget(connection, first[0].id, 1.0)
        with pytest.raises(Taken, match="configuration file"):
            budgets.remove_team(connection, "acme", "crew", 1.0)
        budgets.set_budget(connection, ("acme", "user", "ada"), 9, "none", None, 1.0)
    adopt((), (), ())
    with store.begin() as connection:
        assert [(each.subject, each.source) for each in budgets.list_budgets(connection)] == [("ada", "store")]
        assert budgets.list_teams(connection) == []
    with pytest.raises(Taken, match="in the store"):
        adopt((), (), (FileBudget("acme", "user", "ada", 1, "none"),))
