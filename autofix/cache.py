"""Results of earlier runs by content: a table in SQLite, JSON in it, and never an error to the user.

A database that is corrupt, locked or read-only means that nothing is remembered.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

import autofix
from autofix import templates, transforms
from autofix.model import (
    Applicability,
    Claim,
    Edit,
    Finding,
    Fix,
    Position,
    Relation,
    Severity,
    Span,
)

_VARIABLES = 500  # SQLite's oldest limit on the parameters of one statement is 999
_KEEP_DAYS = 30
_KEEP_BYTES = 200_000_000
_LOCK_SECONDS = 2.0
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS entry (
        kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, written INTEGER NOT NULL, PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS entry_written ON entry (written);
"""


@dataclass(frozen=True, slots=True)
class Cache:
    """A table from (kind, key) to JSON values in the file at `path`. Safe to use from several processes."""

    path: Path

    @classmethod
    def default(cls) -> Cache:
        """The user's cache; the environment variable AUTOFIX_CACHE_DIR moves it."""
        folder = os.environ.get("AUTOFIX_CACHE_DIR") or platformdirs.user_cache_dir("autofix")
        return cls(Path(folder) / "results.sqlite3")

    def get(self, kind: str, key: str) -> Any:
        """The value, or None."""
        return self.get_many(kind, [key]).get(key)

    def put(self, kind: str, key: str, value: Any) -> None:
        self.put_many(kind, {key: value})

    def get_many(self, kind: str, keys: Iterable[str]) -> dict[str, Any]:
        """The values that are known, by key."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, Any] = {}
        with self._tolerant():
            if not wanted or not self.path.exists():
                return found
        with self._tolerant(), closing(self._connect()) as connection:
            for part in _parts(wanted):
                marks = ",".join("?" * len(part))
                rows = connection.execute(
                    f"SELECT key, value FROM entry WHERE kind = ? AND key IN ({marks})", (kind, *part)
                )
                for key, value in rows:
                    with suppress(ValueError):
                        found[key] = json.loads(value)
        return found

    def put_many(self, kind: str, items: Mapping[str, Any]) -> None:
        """Remember values (anything that `json` writes)."""
        if not items:
            return
        now = int(time.time())
        rows = [(kind, key, json.dumps(value, separators=(",", ":")), now) for key, value in items.items()]
        with self._tolerant():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection, connection:
                connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", rows)
            self._prune_sometimes(now)

    def prune(self, days: float = _KEEP_DAYS, size: int = _KEEP_BYTES) -> None:
        """Forget what was written more than `days` ago, and the oldest half while the file exceeds `size` bytes."""
        with self._tolerant(), closing(self._connect()) as connection:
            with connection:
                connection.execute("DELETE FROM entry WHERE written < ?", (int(time.time() - days * 86_400),))
            while self._bytes(connection) > size:
                with connection:
                    (count,) = connection.execute("SELECT count(*) FROM entry").fetchone()
                    if not count:
                        break
                    connection.execute(
                        "DELETE FROM entry WHERE (kind, key) IN (SELECT kind, key FROM entry ORDER BY written LIMIT ?)",
                        ((count + 1) // 2,),
                    )
                connection.execute("VACUUM")

    def _prune_sometimes(self, now: int) -> None:
        """Once a day: the time of the last pruning is an entry itself."""
        last = self.get("cache", "pruned")
        if isinstance(last, int) and now - last < 86_400:
            return
        with closing(self._connect()) as connection, connection:
            connection.execute("INSERT OR REPLACE INTO entry VALUES ('cache', 'pruned', ?, ?)", (str(now), now))
        if last is not None:
            self.prune()

    def _bytes(self, connection: sqlite3.Connection) -> int:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * page_size)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_LOCK_SECONDS)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def _tolerant(self) -> Iterator[None]:
        """Whatever is wrong with the file, the work goes on without it."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            # Exactly this class means damage (its subclasses: locked, read-only, full). A damaged file would spoil
            # every later run as well, and it holds nothing that cannot be computed again.
            if type(error) is sqlite3.DatabaseError:
                for suffix in ("", "-wal", "-shm"):
                    with suppress(OSError):
                        os.unlink(f"{self.path}{suffix}")
        except (sqlite3.Error, OSError):
            return


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _VARIABLES):
        yield keys[start : start + _VARIABLES]


# -- keys ------------------------------------------------------------------------------------------------------


def content_key(data: bytes, *parts: str) -> str:
    """A key for what is computed from `data` under `parts` by this version of autofix under this Python."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (_code_key(), *parts):
        encoded = part.encode("utf-8", "surrogateescape")
        digest.update(len(encoded).to_bytes(8, "little"))
        digest.update(encoded)
    digest.update(data)
    return digest.hexdigest()


@functools.cache
def _code_key() -> str:
    """Changes with the version, with Python's grammar, and with any edit to our own files (editable installs)."""
    digest = hashlib.blake2b(digest_size=20)
    digest.update(f"{autofix.__version__} {sys.version}".encode())
    for package in (autofix, transforms, templates):
        for folder in package.__path__:
            for path in sorted(Path(folder).rglob("*.py")):
                status = path.stat()
                digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


# -- findings as JSON ------------------------------------------------------------------------------------------


def findings_to_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [_finding_to_json(f) for f in findings]


def findings_from_json(values: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """The inverse of `findings_to_json`."""
    return [_finding_from_json(v) for v in values]


def _finding_to_json(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "path": finding.path,
        "span": [finding.span.start, finding.span.end],
        "start": [finding.start.line, finding.start.column],
        "end": [finding.end.line, finding.end.column],
        "message": finding.message,
        "severity": finding.severity.value,
        "fix": finding.fix and _fix_to_json(finding.fix),
        "unfixed_reason": finding.unfixed_reason,
    }


def _finding_from_json(value: Mapping[str, Any]) -> Finding:
    return Finding(
        rule=value["rule"],
        path=value["path"],
        span=Span(*value["span"]),
        start=Position(*value["start"]),
        end=Position(*value["end"]),
        message=value["message"],
        severity=Severity(value["severity"]),
        fix=value["fix"] and _fix_from_json(value["fix"]),
        unfixed_reason=value["unfixed_reason"],
    )


def _fix_to_json(fix: Fix) -> dict[str, Any]:
    claim = fix.claim
    return {
        "title": fix.title,
        "edits": [[e.span.start, e.span.end, e.text, e.exact] for e in fix.edits],
        "applicability": fix.applicability.value,
        "claim": {
            "relation": claim.relation.value,
            "region": claim.region and [claim.region.start, claim.region.end],
            "results": list(claim.results),
            "hazard": list(claim.hazard),
            "parameters": dict(claim.parameters),
            "change": claim.change,
            "assumptions": list(claim.assumptions),
            "extra": list(claim.extra),
        },
    }


def _fix_from_json(value: Mapping[str, Any]) -> Fix:
    claim = value["claim"]
    return Fix(
        title=value["title"],
        edits=tuple(Edit(Span(start, end), text, exact) for start, end, text, exact in value["edits"]),
        applicability=Applicability(value["applicability"]),
        claim=Claim(
            relation=Relation(claim["relation"]),
            region=claim["region"] and Span(*claim["region"]),
            results=tuple(claim["results"]),
            hazard=tuple(claim["hazard"]),
            parameters=claim["parameters"],
            change=claim["change"],
            assumptions=tuple(claim["assumptions"]),
            extra=tuple(claim["extra"]),
        ),
    )
