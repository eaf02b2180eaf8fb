"""Reduces GitHub's OpenAPI description to the requests that autofix makes.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    python tests/github/reduce.py package > tests/github/openapi.json

What is kept of each request: its parameters, the schema of its body, and which statuses it is answered with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PULL = "/repos/{owner}/{repo}/pulls/{pull_number}"
KEPT = {
    "/repos/{owner}/{repo}/pulls": ("get", "post"),
    PULL: ("get", "patch"),
    f"{PULL}/files": ("get",),
    f"{PULL}/comments": ("get",),
    f"{PULL}/reviews": ("get", "post"),
    f"{PULL}/requested_reviewers": ("get", "post"),
    "/repos/{owner}/{repo}/issues/{issue_number}/labels": ("post",),
}


def reduced(package: Path) -> dict[str, Any]:
    whole = json.loads((package / "generated" / "api.github.com.deref.json").read_text(encoding="utf-8"))
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    paths: dict[str, Any] = {}
    for path, methods in KEPT.items():
        paths[path] = {method: _operation(whole["paths"][path][method]) for method in methods}
    return {
        "openapi": whole["openapi"],
        "info": {
            "title": whole["info"]["title"],
            "version": whole["info"]["version"],
            "license": whole["info"]["license"],
            "description": f"What autofix uses of @octokit/openapi {version}, made by tests/github/reduce.py.",
        },
        "paths": paths,
    }


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {"operationId": operation["operationId"], "parameters": operation.get("parameters", [])}
    if "requestBody" in operation:
        content = operation["requestBody"]["content"]["application/json"]
        kept["requestBody"] = {
            "required": operation["requestBody"].get("required", False),
            "content": {"application/json": {"schema": content["schema"]}},
        }
    kept["responses"] = {status: {"description": one["description"]} for status, one in operation["responses"].items()}
    return kept


if __name__ == "__main__":
    json.dump(reduced(Path(sys.argv[1])), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")
