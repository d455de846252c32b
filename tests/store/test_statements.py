"""The SQL itself: bound to one account, used, understood by SQLite, and the hot part of it never scans."""

import ast
import re
import sqlite3
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

import kubecustody
from kubecustody.store.migrations import create_store, for_postgresql
from kubecustody.store.sqlite import connect
from kubecustody.store.statements import Statement, all_statements, parse_statements

STATEMENTS = all_statements()

# Those that are not bound to one account, each with its reason.
NOT_OF_ONE_ACCOUNT = {
    "find_key_holder": "a request brings an access key id, and the directory says whose account that is",
    "find_installation": "the installation is one for all accounts",
    "add_installation": "the installation is one for all accounts",
    "set_key_check": "the key ring is one for all accounts",
    "find_installation_secret": "the TLS root belongs to the installation",
    "set_installation_secret": "the TLS root belongs to the installation",
    "list_installation_secrets": "a new master key seals the installation's secrets too",
    "take_lease": "leases are of workers, which serve every account",
    "drop_lease": "leases are of workers, which serve every account",
    "end_quarantine": "the installation is one for all accounts",
    "list_accounts": "whoever runs the machine sees which accounts there are",
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A connection to a new store, as the program opens it."""
    path = tmp_path_factory.mktemp("store") / "store.db"
    create_store(path, 0)
    connection = connect(path, busy_timeout_ms=0)
    yield connection
    connection.close()


def named(sql: Statement) -> str:
    """The text with its parameters by name again."""
    return re.sub(r"\?(\d+)", lambda match: ":" + sql.parameters[int(match[1]) - 1], sql.sqlite)


def is_bound(text: str) -> bool:
    """Whether each part between UNIONs inserts the account, or asks for it in each table that has one."""
    insert = re.match(r"INSERT INTO \w+ \((.*?)\)\s*VALUES \((.*?)\)", text, re.DOTALL)
    if insert:
        columns, values = ([word.strip() for word in part.split(",")] for part in insert.groups())
        return dict(zip(columns, values, strict=True)).get("account_id") == ":account_id"
    return all(_is_bound_part(part) for part in re.split(r"\bUNION(?: ALL)?\b", text))


def _is_bound_part(part: str) -> bool:
    tables = re.findall(r"\b(?:FROM|JOIN|UPDATE)\s+(\w+)(?:\s+AS\s+(\w+))?", part)
    aliases = {alias or table for table, alias in tables}
    bound = set(re.findall(r"(?:(\w+)\.)?account_id = :account_id\b", part))
    pairs = re.findall(r"\b(\w+)\.account_id = (\w+)\.account_id\b", part)
    if bound == {""}:
        return len(aliases) == 1
    for _ in aliases:
        bound |= {one for pair in pairs for one in pair if bound & set(pair)}
    return bool(bound) and aliases <= bound


def test_every_statement_is_bound_to_one_account_but_for_those_listed() -> None:
    unbound = {name for name, sql in STATEMENTS.items() if not is_bound(named(sql))}
    assert unbound == set(NOT_OF_ONE_ACCOUNT)


def test_the_check_of_binding_sees_what_is_not_bound() -> None:
    for text in (
        "SELECT a FROM t",
        "SELECT a FROM t WHERE account_id = :other",
        "DELETE FROM t WHERE uid = :uid",
        "UPDATE t SET account_id = 1 WHERE uid = :uid",
        "INSERT INTO t (uid, account_id) VALUES (:account_id, :uid)",
        "SELECT x.a FROM t AS x JOIN u AS y ON y.uid = x.uid WHERE x.account_id = :account_id",
        "SELECT a FROM t WHERE account_id = :account_id UNION SELECT a FROM u",
    ):
        assert not is_bound(text), text


def modules_of_src() -> dict[Path, ast.Module]:
    root = Path(str(files(kubecustody)))
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(root.rglob("*.py"))}


def names_read(tree: ast.AST) -> set[str]:
    """Every name and attribute that is read somewhere in a piece of code."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_every_statement_is_named_by_the_store_and_used_by_the_program() -> None:
    """Once, as a constant; a function reads the constant, and another piece of code reads the function."""
    modules = modules_of_src()
    everywhere = set().union(*map(names_read, modules.values()))
    asked: list[str] = []
    for path, module in modules.items():
        functions = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for constant, name in constants_of(module).items():
            assert path.parent.name == "store", f"{path}: only the store knows SQL"
            users = {function.name for function in functions if constant in names_read(function)}
            assert users & everywhere, f"{path}: nothing of the program uses {constant}"
            asked.append(name)
    assert sorted(asked) == sorted(STATEMENTS)


def constants_of(module: ast.Module) -> dict[str, str]:
    """The constants of a module that are statements, with the statement's name."""
    found = {}
    for node in module.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=constant)],
                value=ast.Call(func=ast.Name(id="statement"), args=[ast.Constant(value=str(name))]),
            ):
                found[constant] = name
    return found


def calls_of(module: ast.Module) -> Iterator[tuple[Statement, list[ast.expr]]]:
    """Each call that runs a statement once, with its arguments."""
    constants = constants_of(module)
    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr), args=[ast.Name(id=constant), *arguments]):
                if constant in constants and attr != "execute_many":
                    yield STATEMENTS[constants[constant]], arguments


def test_every_statement_is_called_with_its_arguments_in_their_order() -> None:
    """As many as it has, and none in the place of another that is called like it."""
    seen = 0
    for path, module in modules_of_src().items():
        for sql, arguments in calls_of(module):
            seen += 1
            if not any(isinstance(argument, ast.Starred) for argument in arguments):
                assert len(arguments) == len(sql.parameters), f"{path}: {sql.name}"
            names = [getattr(argument, "id", getattr(argument, "attr", None)) for argument in arguments]
            given = dict(zip(sql.parameters, names, strict=False))
            wrong = {place: name for place, name in given.items() if name != place and given.get(name, name) != name}
            assert not wrong, f"{path}: {sql.name} is given {wrong}"
    assert seen > 50


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_every_statement_is_understood_by_sqlite(schema: sqlite3.Connection, name: str) -> None:
    sql = STATEMENTS[name]
    assert len(set(sql.parameters)) == len(sql.parameters)
    schema.execute(f"EXPLAIN {sql.sqlite}", [None] * len(sql.parameters)).fetchall()


def test_what_returns_rows_changes_nothing_but_for_the_lock() -> None:
    """A transaction that fetched has written nothing as far as the store knows."""
    assert {name for name, sql in STATEMENTS.items() if "RETURNING" in sql.sqlite} == {"lock_account"}


# Alias or table: what SQLite finds its rows by, in the order in which it does. Each is a search; none is a scan.
PLANS = {
    "find_key_holder": [
        "d USING PRIMARY KEY (access_key_id=?)",
        "k USING PRIMARY KEY (account_id=? AND access_key_id=?)",
        "p USING PRIMARY KEY (account_id=? AND uid=?)",
        "a USING PRIMARY KEY (account_id=?)",
    ],
    "find_session_holder": [
        "p USING PRIMARY KEY (account_id=? AND uid=?)",
        "a USING PRIMARY KEY (account_id=?)",
    ],
    "list_nodes": ["nodes USING PRIMARY KEY (account_id=? AND lvl=? AND idx>? AND idx<?)"],
    "list_clusters_from": ["clusters USING PRIMARY KEY (account_id=? AND seq>?)"],
    "list_holdings_between": [
        "holdings USING PRIMARY KEY (account_id=? AND uid=? AND cluster_seq>? AND cluster_seq<?)"
    ],
    "list_observations_between": [
        "cluster_observations USING PRIMARY KEY (account_id=? AND cluster_seq>? AND cluster_seq<?)"
    ],
    "find_newest_credential": ["credentials USING INDEX credentials_by_age (account_id=? AND uid=? AND cluster_seq=?)"],
    "list_policies_of_principal": [
        "t USING PRIMARY KEY (account_id=? AND target_kind=? AND target=?)",
        "c USING PRIMARY KEY (account_id=? AND name_folded=?)",
        "m USING PRIMARY KEY (account_id=? AND uid=?)",
        "t USING PRIMARY KEY (account_id=? AND target_kind=? AND target=?)",
        "c USING PRIMARY KEY (account_id=? AND name_folded=?)",
    ],
}

# What reads all rows that an account has of a table, each with its reason; the rest finds its rows by a key.
READ_A_WHOLE_ACCOUNT = {
    "list_sealed_private_keys": "a new master key seals every one",
    "list_sealed_access_keys": "a new master key seals every one",
    "list_access_keys": "it is the list",
    "list_client_cas": "while a removal is to be proved, wherever else its CA is trusted",
    "list_reached_clusters": "of those that are reached, which are looked at one by one anyway",
    "list_sealed_accesses": "a new master key seals every one",
    "list_sealed_pending_keys": "a new master key seals every one",
    "list_running_tasks": "of those that run alone, by an index of them",
    "list_clusters_like": "a filter by name or region has no index that would serve it",
    "count_clusters_like": "a filter by name or region has no index that would serve it",
    "list_groups": "it is the list",
    "list_policies": "it is the list; an account has few policies and attachments",
    "list_sealed_signer_keys": "of all clusters, for a change of the master key",
    "count_live": "a restore is accepted once",
    "find_last_event_before": "a restore is accepted once",
    "find_last_cluster": "the end of a key, and that is all that is read",
    "find_last_purged_cluster": "of few, and only doctor asks",
    "find_newest_failed_request": "the end of a key, and that is all that is read",
    "find_last_credential": "the end of a key, and that is all that is read",
    "list_newest_event_times": "the end of a key, and that is all that is read",
    "list_every_cluster": "doctor looks at all of them",
    "list_every_node": "doctor looks at all of them",
    "drop_nodes": "doctor makes them anew",
    "list_reached_figures": "of those that are reached, which are looked at one by one anyway",
    "list_soonest_ends": "metrics look at all of them, and a store that takes long to read is read less often",
    "count_attachments_of_policy": "an account has few attachments, and only commands count them",
}


def plan_of(schema: sqlite3.Connection, name: str) -> list[str]:
    sql = STATEMENTS[name]
    rows = schema.execute(f"EXPLAIN QUERY PLAN {sql.sqlite}", [None] * len(sql.parameters))
    return [row[3] for row in rows]


def test_the_plans_are_of_every_statement_of_the_hot_files() -> None:
    hot = {
        name
        for file in ("fleet.sql", "callers.sql")
        for name in parse_statements((files("kubecustody.store") / "sql" / file).read_text("utf-8"))
    }
    assert hot == set(PLANS)


@pytest.mark.parametrize("name", sorted(PLANS))
def test_hot_statements_search_by_key_and_never_scan_or_sort_apart(schema: sqlite3.Connection, name: str) -> None:
    plan = plan_of(schema, name)
    # In which order tables of one row are joined, and whether LEFT-JOIN is said, is each SQLite's own.
    searches = [step[7:].removesuffix(" LEFT-JOIN") for step in plan if step.startswith("SEARCH ")]
    assert sorted(searches) == sorted(PLANS[name])
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step]


def test_of_large_tables_no_statement_reads_all_that_an_account_has(schema: sqlite3.Connection) -> None:
    found = set()
    for name in set(STATEMENTS) - set(NOT_OF_ONE_ACCOUNT):
        steps = [step for step in plan_of(schema, name) if not step.startswith(("SEARCH accounts ", "SEARCH a "))]
        if any(step.startswith("SCAN") or "(account_id=?)" in step for step in steps):
            found.add(name)
    assert found == set(READ_A_WHOLE_ACCOUNT)


def test_the_schema_has_no_row_ids_and_account_id_leads_every_key(schema: sqlite3.Connection) -> None:
    global_keys = {"installation", "installation_secrets", "leases", "access_key_directory"}
    tables = [row[0] for row in schema.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%WITHOUT ROWID%'")]
    assert len(tables) > 15
    for table in set(tables) - global_keys:
        columns = schema.execute(f"PRAGMA table_info({table})").fetchall()
        assert [column[1] for column in columns if column[5] == 1] == ["account_id"], table
        assert [column[1] for column in columns if column[5]], table
    indexes = schema.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    for index, table in indexes.fetchall():
        first = schema.execute(f"PRAGMA index_info({index})").fetchone()[2]
        assert first == "account_id" or table in global_keys, index


def test_a_migration_for_postgresql_loses_the_table_options_and_nothing_else() -> None:
    sql = "CREATE TABLE t (\n    a INTEGER NOT NULL PRIMARY KEY,\n    b BLOB\n) STRICT, WITHOUT ROWID"
    assert for_postgresql(sql) == "CREATE TABLE t (\n    a BIGINT NOT NULL PRIMARY KEY,\n    b BYTEA\n)"
    assert for_postgresql("CREATE TABLE t (a INTEGER) STRICT") == "CREATE TABLE t (a BIGINT)"
    index = "CREATE INDEX i ON t (a) WHERE a IS NOT NULL"
    assert for_postgresql(index) == index
