"""A forge on the loopback: bare repositories behind real `git http-backend`, and a stateful model of GitHub that checks
every request against GitHub's own description (tests/github/openapi.json) and against what the model knows."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema

TOKEN = "ghs_Sekret0fThisTest"
OWNER, NAME = "ada", "engine"
_DESCRIPTION = json.loads((Path(__file__).parent / "github" / "openapi.json").read_text(encoding="utf-8"))


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with the next request that matches. effect: it is carried out all the same; answer None: the
    connection is dropped instead."""

    method: str
    path: str
    answer: Answer | None
    effect: bool = False


class Forge:
    """git: the folder of bare repositories. requests: every API request as it came. pulls: by number."""

    def __init__(self, folder: Path) -> None:
        self.git = folder
        self.requests: list[tuple[str, str, Any]] = []
        self.complaints: list[str] = []
        self.pulls: dict[int, dict[str, Any]] = {}
        self.faults: list[Fault] = []
        self.review_comments: list[dict[str, Any]] = []
        self.url = ""
        self.collaborators = {"grace", "edsger"}

    @property
    def bare(self) -> Path:
        return self.git / OWNER / f"{NAME}.git"

    @property
    def remote(self) -> str:
        return f"{self.url}/{OWNER}/{NAME}.git"

    def branches(self) -> dict[str, str]:
        done = subprocess.run(
            ["git", "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads"],
            cwd=self.bare, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return dict(line.split(" ") for line in done.stdout.splitlines())  # type: ignore[misc]

    def fail(self, method: str, path: str, answer: Answer | None, effect: bool = False, times: int = 1) -> None:
        self.faults += [Fault(method, path, answer, effect)] * times

    def posted(self, path: str) -> list[Any]:
        return [body for method, where, body in self.requests if method == "POST" and re.search(path, where)]

    # -- the model of GitHub -----------------------------------------------------------------------------------

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, authorization: str) -> Answer:
        self.requests.append((method, path, body))
        if authorization != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Bad credentials"})
        found = _operation(method, path)
        if found is None:
            return Answer(404, {"message": "Not Found"})
        template, operation, arguments = found
        wrong = _invalid(operation, query, body)
        if wrong:
            self.complaints.append(f"{method} {path}: {wrong}")
            return Answer(422, {"message": "Validation Failed", "errors": [{"message": wrong}]})
        if (arguments["owner"], arguments["repo"]) != (OWNER, NAME):
            return Answer(404, {"message": "Not Found"})
        number = int(arguments.get("pull_number") or arguments.get("issue_number") or 0)
        if number and number not in self.pulls:
            return Answer(404, {"message": "Not Found"})
        handler: Callable[..., Answer] = getattr(self, operation["operationId"].replace("/", "_").replace("-", "_"))
        answer = handler(number, query, body)
        if str(answer.status) not in operation["responses"]:
            self.complaints.append(f"{method} {template} is never answered with {answer.status}")
        return answer

    def pulls_list(self, _: int, query: dict[str, str], __: Any) -> Answer:
        owner, _, head = query.get("head", "").partition(":")
        state = query.get("state", "open")
        found = [
            self._shown(p)
            for p in sorted(self.pulls.values(), key=lambda p: -p["number"])
            if (not head or (owner, head) == (OWNER, p["head"])) and state in ("all", p["state"])
        ]
        page, size = int(query.get("page", "1")), int(query.get("per_page", "30"))
        return Answer(200, found[(page - 1) * size : page * size])

    def pulls_create(self, _: int, __: dict[str, str], body: Any) -> Answer:
        branches = self.branches()
        for key in ("head", "base"):
            if body.get(key) not in branches:
                return _unprocessable("PullRequest", key, "invalid")
        if not body.get("title"):
            return _unprocessable("PullRequest", "title", "missing_field")
        if any(p["head"] == body["head"] and p["state"] == "open" for p in self.pulls.values()):
            text = f"A pull request already exists for {OWNER}:{body['head']}."
            return Answer(
                422, {"message": "Validation Failed", "errors": [{"resource": "PullRequest", "message": text}]}
            )
        number = len(self.pulls) + 1
        self.pulls[number] = {
            "number": number, "state": "open", "title": body["title"], "body": body.get("body"), "head": body["head"],
            "base": body["base"], "draft": bool(body.get("draft")), "labels": [], "merged_at": None, "reviewers": [],
            "reviews": [],
        }  # fmt: skip
        return Answer(201, self._shown(self.pulls[number]))

    def pulls_get(self, number: int, _: dict[str, str], __: Any) -> Answer:
        return Answer(200, self._shown(self.pulls[number]))

    def pulls_update(self, number: int, _: dict[str, str], body: Any) -> Answer:
        pull = self.pulls[number]
        if body.get("base", pull["base"]) not in self.branches():
            return _unprocessable("PullRequest", "base", "invalid")
        if body.get("state") == "open" and pull["state"] == "closed" and pull["head"] not in self.branches():
            return _unprocessable("PullRequest", "state", "invalid")
        pull.update({k: v for k, v in body.items() if k in ("title", "body", "base", "state")})
        return Answer(200, self._shown(pull))

    def issues_add_labels(self, number: int, _: dict[str, str], body: Any) -> Answer:
        pull = self.pulls[number]
        pull["labels"] += [name for name in body["labels"] if name not in pull["labels"]]
        return Answer(200, [{"name": name} for name in pull["labels"]])

    def pulls_list_requested_reviewers(self, number: int, _: dict[str, str], __: Any) -> Answer:
        people = [{"login": name} for name in self.pulls[number]["reviewers"]]
        return Answer(200, {"users": people, "teams": []})

    def pulls_request_reviewers(self, number: int, _: dict[str, str], body: Any) -> Answer:
        wanted = body.get("reviewers", [])
        if not set(wanted) <= self.collaborators:
            return Answer(422, {"message": "Reviews may only be requested from collaborators."})
        pull = self.pulls[number]
        pull["reviewers"] += [name for name in wanted if name not in pull["reviewers"]]
        return Answer(201, self._shown(pull))

    def pulls_list_reviews(self, number: int, _: dict[str, str], __: Any) -> Answer:
        return Answer(200, [{"user": {"login": name}} for name in self.pulls[number]["reviews"]])

    def pulls_create_review(self, number: int, _: dict[str, str], body: Any) -> Answer:
        shown = self._patches(number)
        for comment in body.get("comments", []):
            first, last = comment.get("start_line", comment["line"]), comment["line"]
            if not set(range(first, last + 1)) <= shown.get(comment["path"], ("", set()))[1]:
                return Answer(422, {"message": "Unprocessable Entity", "errors": ["Line could not be resolved"]})
        self.review_comments += body.get("comments", [])
        return Answer(200, {"id": 1, "state": "COMMENTED"})

    def pulls_list_review_comments(self, number: int, query: dict[str, str], _: Any) -> Answer:
        return Answer(200, self.review_comments if query.get("page", "1") == "1" else [])

    def pulls_list_files(self, number: int, query: dict[str, str], _: Any) -> Answer:
        files = [
            {"filename": path, "status": "modified", "patch": patch}
            for path, (patch, _) in self._patches(number).items()
        ]
        return Answer(200, files if query.get("page", "1") == "1" else [])

    def _patches(self, number: int) -> dict[str, tuple[str, set[int]]]:
        """By path: the pull request's hunks, and the lines of its version that they show."""
        pull = self.pulls[number]
        base = self._git("merge-base", pull["base"], pull["head"]).strip()
        out = {}
        for path in self._git("diff", "--name-only", "-z", base, pull["head"]).split("\0")[:-1]:
            text = self._git("diff", base, pull["head"], "--", path)
            hunks = text[text.index("@@") :].rstrip("\n")
            lines: set[int] = set()
            at = 0
            for line in hunks.split("\n"):
                match = re.match(r"@@ -\S+ \+(\d+)", line)
                if match:
                    at = int(match.group(1))
                elif line[:1] in ("+", " "):
                    lines.add(at)
                    at += 1
            out[path] = hunks, lines
        return out

    def _git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.bare, capture_output=True, text=True, check=True)
        return done.stdout

    def _shown(self, pull: dict[str, Any]) -> dict[str, Any]:
        return {
            **{k: pull[k] for k in ("number", "state", "title", "body", "draft", "merged_at")},
            "html_url": f"{self.url}/{OWNER}/{NAME}/pull/{pull['number']}",
            "head": {"ref": pull["head"], "sha": self.branches().get(pull["head"], "")},
            "base": {"ref": pull["base"]},
            "labels": [{"name": name} for name in pull["labels"]],
        }


def _unprocessable(resource: str, name: str, code: str) -> Answer:
    errors = [{"resource": resource, "field": name, "code": code}]
    return Answer(422, {"message": "Validation Failed", "errors": errors})


def _operation(method: str, path: str) -> tuple[str, dict[str, Any], dict[str, str]] | None:
    for template, operations in _DESCRIPTION["paths"].items():
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
        match = re.fullmatch(pattern, path)
        if match and method.lower() in operations:
            return template, operations[method.lower()], {k: unquote(v) for k, v in match.groupdict().items()}
    return None


def _invalid(operation: dict[str, Any], query: dict[str, str], body: Any) -> str:
    """What is wrong with a request. The description lets unknown names pass, so they are checked beside it."""
    parameters = {p["name"]: p for p in operation["parameters"] if p["in"] == "query"}
    for name, value in query.items():
        if name not in parameters:
            return f"unknown parameter {name}"
        schema = parameters[name]["schema"]
        given: Any = int(value) if schema.get("type") == "integer" else value
        try:
            jsonschema.validate(given, schema)
        except jsonschema.ValidationError as error:
            return f"{name}: {error.message}"
    if "requestBody" not in operation:
        return "a body where none belongs" if body is not None else ""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    if body is None:
        return "a body is missing" if operation["requestBody"]["required"] else ""
    try:
        jsonschema.validate(body, schema)
    except jsonschema.ValidationError as error:
        return error.message
    shapes = [s for s in schema.get("oneOf") or schema.get("anyOf") or [schema] if "properties" in s]
    if isinstance(body, dict) and not any(set(body) <= set(s["properties"]) for s in shapes):
        return f"unknown names among {sorted(body)}"
    if operation["operationId"] == "issues/add-labels" and not isinstance(body, dict):
        return "labels are an object here"
    return ""


# -- HTTP ------------------------------------------------------------------------------------------------------


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    forge: Forge

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        data = self._data()
        if not parts.path.startswith("/api/v3/"):
            self._git(parts.path, parts.query, data)
            return
        path = parts.path.removeprefix("/api/v3")
        query = dict(parse_qsl(parts.query))
        body = json.loads(data) if data else None
        fault = next((f for f in self.forge.faults if f.method == self.command and re.fullmatch(f.path, path)), None)
        if fault is not None:
            self.forge.faults.remove(fault)
        if fault is None or fault.effect:
            answer = self.forge.answer(self.command, path, query, body, self.headers.get("Authorization", ""))
        else:
            self.forge.requests.append((self.command, path, body))
        if fault is not None:
            if fault.answer is None:
                self._drop()
                return
            answer = fault.answer
        payload = b"" if answer.body is None else json.dumps(answer.body).encode()
        self._reply(answer.status, {"Content-Type": "application/json", **answer.headers}, payload)

    do_GET = do_POST = do_PATCH = do_PUT = _handle

    def _data(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _drop(self) -> None:
        """Reset the connection, as a network does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _reply(self, status: int, headers: dict[str, str], payload: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def _git(self, path: str, query: str, data: bytes) -> None:
        wanted = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self._reply(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
            return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.forge.git),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "REMOTE_USER": "ada",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": unquote(path),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(data)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=data, capture_output=True, env=environment, check=False)
        head, _, payload = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if ": " in line)
        status = int(headers.pop("Status", "200 OK").split()[0])
        self._reply(status, headers, payload)


@contextmanager
def serving(folder: Path) -> Iterator[Forge]:
    """A forge with one empty repository, until the block is left."""
    forge = Forge(folder)
    forge.bare.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(forge.bare)], check=True)
    subprocess.run(["git", "config", "http.receivepack", "true"], cwd=forge.bare, check=True)
    handler = type("Handler", (_Handler,), {"forge": forge})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    forge.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield forge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
