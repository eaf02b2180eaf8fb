"""A commit of ours in the user's repository, and its way to a remote, without touching what the user has there.

Everything goes through git's plumbing: blobs and trees are written with an index of our own, so that the working tree,
the user's index, `HEAD` and every local branch stay as they are. Hooks and the user's own monitors do not run, what
git says is returned as a `Problem`, and credentials reach git in its environment only.
"""

from __future__ import annotations

import base64
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from autofix.model import Problem

TOKENS = ("GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "GITEA_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
_SECONDS = 300.0
_LARGEST = 8 << 20  # bytes; data and weights are not needed to read or to import code
# What says where a repository is belongs to whoever started us; traces would show headers.
_DROPPED = re.compile(
    r"GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE|PREFIX"
    r"|QUARANTINE_PATH|CONFIG_COUNT|CONFIG_KEY_\d+|CONFIG_VALUE_\d+|CONFIG_PARAMETERS|CEILING_DIRECTORIES|REFLOG_ACTION"
    r"|EDITOR|CURL_VERBOSE|TRACE\w*|LITERAL_PATHSPECS|GLOB_PATHSPECS|NOGLOB_PATHSPECS|ICASE_PATHSPECS)"
)
_QUIET = (
    *("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false", "-c", "core.splitIndex=false"),
    *(
        "-c",
        "core.untrackedCache=false",
        "-c",
        "core.quotePath=true",
        "-c",
        "gc.auto=0",
        "-c",
        "maintenance.auto=false",
    ),
    *("-c", "fetch.writeCommitGraph=false", "-c", "push.followTags=false", "-c", "push.recurseSubmodules=no"),
    *("-c", "push.gpgSign=false", "-c", "push.useForceIfIncludes=false"),
)


@dataclass(frozen=True, slots=True)
class Repository:
    """top: the working tree's root. folder: the git directory of this working tree."""

    top: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a tree: mode as git writes it ("100644"), the blob's name, its size in bytes (-1 for a submodule)."""

    mode: str
    blob: str
    size: int
    path: str


@dataclass(frozen=True, slots=True)
class Remote:
    """url: where pushes go, without credentials. token: sent to that host only, by git over HTTP; never shown."""

    name: str
    url: str
    user: str = ""
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a commit is by; empty strings leave it to git's configuration."""

    name: str = ""
    email: str = ""
    sign_off: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    name: str
    tree: str
    parents: tuple[str, ...]
    message: str


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What a remote has: the branch that its HEAD names ("" when it does not say), and commits by branch."""

    default: str
    branches: Mapping[str, str]


# -- reading ---------------------------------------------------------------------------------------------------


def repository(place: Path) -> Repository | Problem:
    """The repository whose working tree holds `place`."""
    folder = place if place.is_dir() else place.parent
    done = _run(folder, ["rev-parse", "--show-toplevel", "--absolute-git-dir"])
    if isinstance(done, Problem):
        return Problem(str(place), f"{done.message}; run it inside a clone of your project")
    top, git_dir = os.fsdecode(done).rstrip("\n").split("\n")[:2]
    return Repository(Path(top), Path(git_dir))


def branch_name_problem(name: str) -> str:
    """Why a branch cannot be called so; empty when it can."""
    if name.startswith(("-", "refs/")):
        return f"{name!r} is no name for a branch"
    try:
        done = subprocess.run(
            ["git", "check-ref-format", f"refs/heads/{name}"], capture_output=True, check=False, env=_environment()
        )
    except (OSError, ValueError):
        return f"{name!r} is no name for a branch"
    return f"{name!r} is no name for a branch" if done.returncode else ""


def commit_of(repo: Repository, revision: str) -> str:
    """The full name of a commit that is here, or nothing."""
    words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    done = _run(repo.top, words)
    return "" if isinstance(done, Problem) else done.decode("ascii").strip()


def commit(repo: Repository, name: str) -> Commit | Problem:
    done = _run(repo.top, ["cat-file", "commit", name])
    if isinstance(done, Problem):
        return done
    head, _, message = done.decode("utf-8", "surrogateescape").partition("\n\n")
    lines = [line.split(" ", 1) for line in head.split("\n")]
    tree = next(words[1] for words in lines if words[0] == "tree")
    return Commit(name, tree, tuple(words[1] for words in lines if words[0] == "parent"), message)


def differing(repo: Repository, one: str, other: str) -> dict[str, str] | Problem:
    """The paths that differ between two commits, each with git's letter for how: "M" modified, "A" only in `other`."""
    done = _run(repo.top, ["diff-tree", "-r", "-z", "--name-status", "--no-renames", one, other])
    if isinstance(done, Problem):
        return done
    words = [os.fsdecode(word) for word in done.split(b"\0")]
    return dict(zip(words[1::2], words[::2], strict=False))


def head_branch(repo: Repository) -> str:
    """The branch that is checked out; nothing when HEAD is detached."""
    done = _run(repo.top, ["symbolic-ref", "--quiet", "--short", "HEAD"])
    return "" if isinstance(done, Problem) else os.fsdecode(done).strip()


def default_branch(repo: Repository, remote: str) -> str:
    """The remote's default branch as it was when the repository was cloned; nothing when that is not known."""
    done = _run(repo.top, ["symbolic-ref", "--quiet", "--short", f"refs/remotes/{remote}/HEAD"])
    return "" if isinstance(done, Problem) else os.fsdecode(done).strip().removeprefix(f"{remote}/")


def entries(repo: Repository, name: str) -> list[Entry] | Problem:
    """Every file of a commit."""
    done = _run(repo.top, ["ls-tree", "-r", "-l", "-z", "--full-tree", name])
    if isinstance(done, Problem):
        return done
    found = []
    for record in done.split(b"\0"):
        if record:
            head, _, path = record.partition(b"\t")
            mode, _, blob, size = head.decode("ascii").split()
            found.append(Entry(mode, blob, -1 if size == "-" else int(size), os.fsdecode(path)))
    return found


def export(repo: Repository, files: Sequence[Entry], folder: Path) -> Problem | None:
    """Write a commit's files below `folder`, byte for byte as they are in the repository (no filters, no line ending
    conversions). Submodules, large files and links that lead out of the tree are left out."""
    wanted = [e for e in files if e.mode != "160000" and 0 <= e.size <= _LARGEST and _harmless(e.path)]
    for entry, data in _blobs(repo, wanted):
        if isinstance(data, Problem):
            return data
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.mode == "120000":
            link = os.fsdecode(data)
            inside = os.path.normpath(os.path.join(os.path.dirname(entry.path), link))
            if not os.path.isabs(link) and inside != ".." and not inside.startswith("../"):
                target.symlink_to(link)
            continue
        target.write_bytes(data)
        if entry.mode == "100755":
            target.chmod(target.stat().st_mode | stat.S_IXUSR)
    return None


def _harmless(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and ".git" not in parts


def _blobs(repo: Repository, wanted: Sequence[Entry]) -> Iterator[tuple[Entry, bytes | Problem]]:
    """Each entry's bytes; links last, so that no file is written through one."""
    ordered = sorted(wanted, key=lambda e: e.mode == "120000")
    # The names go in through a file: filling one pipe while the other is full would block both sides.
    with tempfile.TemporaryFile() as names:
        names.write("".join(f"{e.blob}\n" for e in ordered).encode("ascii"))
        names.seek(0)
        words = ["git", *_QUIET, "cat-file", "--batch"]
        with subprocess.Popen(
            words, cwd=repo.top, env=_environment(), stdin=names, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            for entry in ordered:
                head = process.stdout.readline().split()
                if len(head) != 3:
                    process.kill()
                    yield entry, Problem(entry.path, f"git has no blob {entry.blob}; `git fsck` tells more")
                    return
                data = process.stdout.read(int(head[2]))
                process.stdout.read(1)
                yield entry, data


# -- writing ---------------------------------------------------------------------------------------------------


def commit_files(
    repo: Repository, base: str, files: Mapping[str, bytes], message: str, identity: Identity
) -> str | Problem:
    """The name of a new commit on `base` that holds `files` (by path from the top) instead of what stood there.

    A file keeps the mode that it has in `base`. No reference points at the commit.
    """
    known = entries(repo, base)
    if isinstance(known, Problem):
        return known
    modes = {e.path: e.mode for e in known}
    records = []
    for path, data in sorted(files.items()):
        blob = _run(repo.top, ["hash-object", "-w", "--stdin", "--no-filters"], stdin=data)
        if isinstance(blob, Problem):
            return blob
        mode = modes.get(path, "100644")
        records.append(mode.encode() + b" " + blob.strip() + b"\t" + os.fsencode(path) + b"\0")
    with tempfile.TemporaryDirectory(prefix="autofix-index-") as folder:
        own = {"GIT_INDEX_FILE": os.path.join(folder, "index")}
        for words, given in ((["read-tree", base], b""), (["update-index", "-z", "--index-info"], b"".join(records))):
            done = _run(repo.top, words, stdin=given, extra=own)
            if isinstance(done, Problem):
                return done
        tree = _run(repo.top, ["write-tree"], extra=own)
    if isinstance(tree, Problem):
        return tree
    return _commit_tree(repo, tree.decode("ascii").strip(), base, message, identity)


def _commit_tree(repo: Repository, tree: str, base: str, message: str, identity: Identity) -> str | Problem:
    extra = {}
    if identity.name:
        extra["GIT_AUTHOR_NAME"] = identity.name
    if identity.email:
        extra["GIT_AUTHOR_EMAIL"] = identity.email
    if identity.sign_off:
        committer = _run(repo.top, ["var", "GIT_COMMITTER_IDENT"])
        if isinstance(committer, Problem):
            return committer
        person = committer.decode("utf-8", "replace").rpartition(">")[0] + ">"
        message = f"{message.rstrip()}\nSigned-off-by: {person}\n"
    words = ["commit-tree", tree, "-p", base, "-F", "-"]
    done = _run(repo.top, words, stdin=message.encode("utf-8", "replace"), extra=extra)
    if isinstance(done, Problem):
        return Problem(done.path, f"no commit was made: {done.message}")
    return done.decode("ascii").strip()


# -- remotes ---------------------------------------------------------------------------------------------------


def remote_url(repo: Repository, name: str) -> str | Problem:
    """Where `git push NAME` goes, as git resolves it. It may hold credentials: show `without_credentials` of it."""
    done = _run(repo.top, ["remote", "get-url", "--push", "--", name])
    if isinstance(done, Problem):
        listed = _run(repo.top, ["remote"])
        known = [] if isinstance(listed, Problem) else os.fsdecode(listed).split()
        remedy = f"`--remote` takes one of {', '.join(known)}" if known else "add one with `git remote add`"
        return Problem(str(repo.top), f"there is no remote {name!r}; {remedy}")
    return os.fsdecode(done).strip()


def without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if not parts.scheme or "@" not in parts.netloc or parts.scheme == "ssh":
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def look(repo: Repository, remote: Remote) -> RemoteState | Problem:
    """The remote's branches."""
    done = _run(
        repo.top, ["ls-remote", "--symref", "--", remote.name, "HEAD", "refs/heads/*"], extra=_secret(remote),
        hide=remote,
    )  # fmt: skip
    if isinstance(done, Problem):
        return done
    default, branches = "", {}
    for line in os.fsdecode(done).splitlines():
        value, _, name = line.partition("\t")
        if value.startswith("ref: refs/heads/") and name == "HEAD":
            default = value.removeprefix("ref: refs/heads/")
        elif name.startswith("refs/heads/"):
            branches[name.removeprefix("refs/heads/")] = value
    return RemoteState(default, branches)


def fetch(repo: Repository, remote: Remote, reference: str, name: str) -> Problem | None:
    """Bring commit `name`, which the remote's reference points at, here; no reference of ours changes."""
    if commit_of(repo, name):
        return None
    words = ["fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head", "--no-recurse-submodules"]
    words += ["--refmap=", "--", remote.name, reference]
    done = _run(repo.top, words, extra=_secret(remote), hide=remote)
    if isinstance(done, Problem):
        return done
    if not commit_of(repo, name):
        return Problem(remote.url, f"{reference} moved while it was read; run again")
    return None


def push(repo: Repository, remote: Remote, name: str, branch: str, expected: str) -> Problem | None:
    """Make the remote's branch point at commit `name`, provided that it still is at `expected` ("": not there)."""
    words = [
        "push",
        "--porcelain",
        "--no-verify",
        "--no-follow-tags",
        f"--force-with-lease=refs/heads/{branch}:{expected}",
    ]
    words += ["--", remote.name, f"{name}:refs/heads/{branch}"]
    done = _run(repo.top, words, extra=_secret(remote), hide=remote)
    return done if isinstance(done, Problem) else None


# -- running git -----------------------------------------------------------------------------------------------


def _secret(remote: Remote) -> dict[str, str]:
    """The token as an extra header for the remote's host alone, in the environment: never an argument, never a file.

    Redirects are not followed with it: another host must not see it.
    """
    parts = urlsplit(remote.url)
    if not remote.token or parts.scheme not in ("http", "https"):
        return {}
    header = f"http.{parts.scheme}://{parts.netloc}/.extraHeader"
    settings = (
        (header, ""),  # forgets those that are configured, such as a CI's own: two would be refused
        (header, f"Authorization: Basic {_basic(remote)}"),
        ("http.followRedirects", "false"),
        ("credential.helper", ""),
    )
    out = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        out[f"GIT_CONFIG_KEY_{number}"] = key
        out[f"GIT_CONFIG_VALUE_{number}"] = value
    return out


def _basic(remote: Remote) -> str:
    return base64.b64encode(f"{remote.user}:{remote.token}".encode()).decode("ascii")


def _environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not _DROPPED.fullmatch(k)}
    if extra and "GIT_CONFIG_COUNT" in extra:
        kept = {k: v for k, v in kept.items() if k not in TOKENS}
    own = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C", "GIT_PAGER": "cat"}
    return {**kept, **own, **(extra or {})}


def _run(
    folder: Path, words: Sequence[str], *, stdin: bytes = b"", extra: Mapping[str, str] | None = None,
    hide: Remote | None = None,
) -> bytes | Problem:  # fmt: skip
    """What git printed, or what it said was wrong."""
    place = without_credentials(hide.url) if hide else str(folder)
    command = ["git", *_QUIET, *words]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            input=stdin,
            capture_output=True,
            check=False,
            env=_environment(extra),
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Problem(place, f"git {words[0]} did not finish within {_SECONDS:g} s; try again")
    except OSError as error:
        return Problem(place, f"git cannot be run ({(error.strerror or str(error)).lower()}); install it")
    if done.returncode == 0:
        return done.stdout
    return Problem(place, f"git {words[0]}: {_said(done.stdout, done.stderr, hide)}")


def _said(out: bytes, err: bytes, hide: Remote | None) -> str:
    """git's own words on one line, without secrets. A refused push says why on standard output."""
    lines = [line.strip() for line in err.decode("utf-8", "replace").splitlines()]
    lines += [line.strip() for line in out.decode("utf-8", "replace").splitlines() if line.startswith("!")]
    kept = [line for line in lines if line and not line.startswith(("hint:", "To ", "error: failed to push some refs"))]
    text = "; ".join(dict.fromkeys(kept[:12])) or "it failed without a word"
    text = re.sub(r"(\w+://)[^/@\s]+@", r"\1", text)
    if hide and hide.token:
        text = text.replace(_basic(hide), "***").replace(hide.token, "***")
    return re.sub(r"\s+", " ", re.sub(r"[\x00-\x1f\x7f]", " ", text))
