from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autofix.cache import Cache, content_key, findings_from_json, findings_to_json
from autofix.model import Applicability, Claim, Edit, Finding, Fix, Position, Relation, Severity, Span


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "deep" / "er" / "results.sqlite3")


# -- the table -------------------------------------------------------------------------------------------------


def test_what_is_put_is_got_by_kind_and_key(cache: Cache) -> None:
    assert cache.get("scan", "k") is None
    cache.put_many("scan", {"k": [1, {"a": None}], "l": "é\udc80"})
    cache.put("evidence", "k", 2.5)
    cache.put("evidence", "k", 3)
    assert cache.get_many("scan", ["k", "l", "unknown", "k"]) == {"k": [1, {"a": None}], "l": "é\udc80"}
    assert Cache(cache.path).get("evidence", "k") == 3
    assert cache.get_many("scan", []) == {}


def test_more_keys_than_sqlite_takes_at_once(cache: Cache) -> None:
    items = {f"key {i}": i for i in range(3000)}
    cache.put_many("scan", items)
    assert cache.get_many("scan", items) == items


def test_the_environment_moves_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTOFIX_CACHE_DIR", str(tmp_path))
    assert Cache.default().path.parent == tmp_path
    monkeypatch.delenv("AUTOFIX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Cache.default().path.name == "results.sqlite3"


def test_old_entries_go_first_by_age_and_then_by_size(cache: Cache) -> None:
    cache.put_many("scan", {f"k{i}": "x" * 1000 for i in range(1000)})
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE entry SET written = written - 40 * 86400 WHERE key < 'k5'")
        connection.execute("UPDATE entry SET written = written - 10 WHERE key < 'k7'")
    connection.close()
    cache.prune()
    kept = cache.get_many("scan", [f"k{i}" for i in range(1000)])
    assert min(kept) == "k5"
    assert len(kept) == 555
    cache.prune(size=400_000)
    kept = cache.get_many("scan", [f"k{i}" for i in range(1000)])
    assert 0 < len(kept) < 400
    assert min(kept) >= "k7"
    assert cache.path.stat().st_size < 500_000
    cache.prune(days=-1)
    assert cache.get_many("scan", [f"k{i}" for i in range(1000)]) == {}


def test_several_processes_write_at_once(cache: Cache) -> None:
    code = (
        "import sys; from pathlib import Path; from autofix.cache import Cache\n"
        "for i in range(20): Cache(Path(sys.argv[1])).put('scan', f'{sys.argv[2]} {i}', i)"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(cache.path), str(n)]) for n in range(3)]
    assert [p.wait(timeout=60) for p in running] == [0, 0, 0]
    keys = [f"{n} {i}" for n in range(3) for i in range(20)]
    assert len(cache.get_many("scan", keys)) == 60


# -- never an error --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"not a database at all", b"SQLite format 3\0" + b"\xff" * 4096, b"S"])
def test_a_damaged_file_means_no_cache_and_the_next_one_is_sound(cache: Cache, content: bytes) -> None:
    cache.path.parent.mkdir(parents=True)
    cache.path.write_bytes(content)
    assert cache.get("scan", "k") is None
    cache.path.write_bytes(content)
    cache.prune()
    cache.path.write_bytes(content)
    cache.put("scan", "k", 1)
    cache.put("scan", "k", 2)
    assert cache.get("scan", "k") == 2


def test_a_database_cut_short_means_no_cache_and_the_next_one_is_sound(cache: Cache) -> None:
    keys = [f"k{i}" for i in range(100)]
    cache.put_many("scan", dict.fromkeys(keys, "x" * 1000))
    cache.path.write_bytes(cache.path.read_bytes()[:9000])
    assert set(cache.get_many("scan", keys)) < set(keys)
    cache.put_many("scan", dict.fromkeys(keys, 1))
    cache.put_many("scan", dict.fromkeys(keys, 1))
    assert cache.get_many("scan", keys) == dict.fromkeys(keys, 1)


def test_another_schema_means_no_cache(cache: Cache) -> None:
    cache.path.parent.mkdir(parents=True)
    with sqlite3.connect(cache.path) as connection:
        connection.execute("CREATE TABLE entry (other TEXT)")
    connection.close()
    cache.put("scan", "k", 1)
    assert cache.get("scan", "k") is None


def test_a_value_that_is_not_json_is_not_there(cache: Cache) -> None:
    cache.put_many("scan", {"a": 1, "b": 2})
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE entry SET value = '{' WHERE key = 'a'")
    connection.close()
    assert cache.get_many("scan", ["a", "b"]) == {"b": 2}


def test_a_locked_database_means_no_cache(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autofix.cache._LOCK_SECONDS", 0.01)
    cache.put("scan", "k", 1)
    connection = sqlite3.connect(cache.path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    cache.put("scan", "k", 2)
    connection.execute("ROLLBACK")
    connection.close()
    assert cache.get("scan", "k") == 1


def test_a_place_that_may_not_be_written_means_no_cache(unprivileged: Path) -> None:
    unprivileged.chmod(0o555)
    cache = Cache(unprivileged / "sub" / "results.sqlite3")
    cache.put("scan", "k", 1)
    assert cache.get("scan", "k") is None
    unprivileged.chmod(0o000)
    assert cache.get("scan", "k") is None


# -- keys ------------------------------------------------------------------------------------------------------


def test_keys_depend_on_every_part_and_on_where_parts_end() -> None:
    keys = [
        content_key(b"data", "a", "b"),
        content_key(b"data", "ab"),
        content_key(b"data", "b", "a"),
        content_key(b"data", "a", "b", ""),
        content_key(b"dat", "a", "b"),
        content_key(b"bdata", "a"),
    ]
    assert len(set(keys)) == len(keys)
    assert content_key(b"data", "a", "b") == keys[0]


def test_keys_are_the_same_in_every_process() -> None:
    code = "from autofix.cache import content_key; print(content_key(b'x', 'y'))"
    seeds = ({**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2"))
    out = {subprocess.run([sys.executable, "-c", code], env=e, capture_output=True, check=True).stdout for e in seeds}
    assert out == {content_key(b"x", "y").encode() + b"\n"}


# -- findings --------------------------------------------------------------------------------------------------

texts = st.text(st.characters(), max_size=8)
counts = st.integers(0, 2**40)
spans = st.tuples(counts, counts).map(lambda pair: Span(*sorted(pair)))
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts)
claims = st.builds(
    Claim,
    relation=st.sampled_from(Relation),
    region=st.none() | spans,
    results=st.lists(texts, max_size=2).map(tuple),
    hazard=st.lists(texts, max_size=2).map(tuple),
    parameters=st.dictionaries(texts, scalars, max_size=3),
    change=texts,
    assumptions=st.lists(texts, max_size=2).map(tuple),
    extra=st.lists(texts, max_size=2).map(tuple),
)
edits = st.builds(Edit, span=spans, text=texts, exact=st.booleans())
fixes = st.builds(
    Fix,
    title=texts,
    edits=st.lists(edits, max_size=3).map(tuple),
    applicability=st.sampled_from(Applicability),
    claim=claims,
)
positions = st.builds(Position, line=counts, column=counts)
findings = st.builds(
    Finding,
    rule=texts,
    path=texts,
    span=spans,
    start=positions,
    end=positions,
    message=texts,
    severity=st.sampled_from(Severity),
    fix=st.none() | fixes,
    unfixed_reason=texts,
)


@given(st.lists(findings, max_size=3))
def test_findings_survive_json(values: list[Finding]) -> None:
    again = findings_from_json(json.loads(json.dumps(findings_to_json(values))))
    assert again == values
    assert [type(f.fix.claim.parameters) for f in again if f.fix] == [dict for f in again if f.fix]


def test_no_field_is_forgotten() -> None:
    """A field added to the model must be added to the JSON: these are the fields that it knows."""
    names = {cls.__name__: list(cls.__dataclass_fields__) for cls in (Finding, Fix, Claim, Edit)}
    assert names == {
        "Finding": ["rule", "path", "span", "start", "end", "message", "severity", "fix", "unfixed_reason"],
        "Fix": ["title", "edits", "applicability", "claim"],
        "Claim": ["relation", "region", "results", "hazard", "parameters", "change", "assumptions", "extra"],
        "Edit": ["span", "text", "exact"],
    }
