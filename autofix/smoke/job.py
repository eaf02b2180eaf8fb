"""What is handed to the harness process and what comes back: JSON, nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Job:
    """One fix to execute.

    kind: the harness module that runs it ("expression", "block"). spec: what that module needs, JSON values only.
    """

    kind: str
    spec: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """Identifies the job by content, for the evidence cache."""
        body = json.dumps([self.kind, self.spec], sort_keys=True)
        return hashlib.blake2b(body.encode(), digest_size=20).hexdigest()
