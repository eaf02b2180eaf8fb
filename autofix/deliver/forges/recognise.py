"""Which forge a remote's address belongs to, where its interface is, and which token it may see."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from autofix.deliver.forges import gitea, github, gitlab
from autofix.deliver.forges.http import Client
from autofix.deliver.forges.protocol import Forge, Refusal

KINDS = ("github", "gitea", "gitlab")
_PUBLIC = {"github.com": "github", "gitlab.com": "gitlab", "codeberg.org": "gitea", "gitea.com": "gitea"}
_LABELS = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea", "codeberg": "gitea"}
_INTERFACE = {"github": "/api/v3", "gitea": "/api/v1", "gitlab": "/api/v4"}
_VARIABLES = {
    "github": ("GITHUB_TOKEN", "GH_TOKEN"),
    "gitea": ("GITEA_TOKEN",),
    "gitlab": ("GITLAB_TOKEN",),
}
_ENTERPRISE = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
# Where the environment itself says which host its token is for.
_HOSTS = {
    "github": ("GITHUB_SERVER_URL", "GH_HOST"),
    "gitea": ("GITEA_SERVER_URL", "GITHUB_SERVER_URL"),
    "gitlab": ("CI_SERVER_URL", "GITLAB_HOST", "GITLAB_URI"),
}
_USERS = {"github": "x-access-token", "gitea": "oauth2", "gitlab": "oauth2"}
_SCP = re.compile(r"(?:[^@/\s]+@)?([^:/\s]+):(?!//)(.+)", re.ASCII)
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on a forge. interface: the root of its HTTP interface. user: the name that goes with a token when
    git speaks HTTP. token: empty when the environment has none that this host may see."""

    kind: str
    interface: str
    path: str
    user: str
    token: str = field(default="", repr=False)


def recognise(url: str, environ: Mapping[str, str], kind: str = "", interface: str = "") -> Place | Refusal:
    """The forge behind a remote's address.

    kind and interface: given by the user, who thereby says that the token for such a forge may be sent there. Else a
    token goes to the public hosts, and to a host that the environment itself names.
    """
    parts = _parts(url)
    if parts is None:
        return Refusal(f"the remote {_shown(url)} is no address on a forge; use one over https or ssh")
    scheme, host, path = parts
    name = host.partition(":")[0] if not host.startswith("[") else host.partition("]")[0] + "]"
    found = kind or _PUBLIC.get(name) or _by_label(name)
    if not found:
        return Refusal(f"cannot tell what kind of forge {name} is; `--forge` takes one of {', '.join(KINDS)}")
    root = interface.rstrip("/") or _interface(found, name, scheme, host)
    target = urlsplit(root)
    if target.scheme == "http" and (target.hostname or "") not in _LOOPBACK:
        return Refusal(f"{root} is not encrypted, and a token would be read on its way; give `--api-url https://...`")
    trusted = bool(kind or interface) or name in _PUBLIC or name in _named(found, environ)
    token = _token(found, name, environ, trusted)
    if not token and not trusted and _token(found, name, environ, True):
        variable = _VARIABLES[found][0]
        return Refusal(
            f"{variable} may be meant for another host than {name}; `--forge {found}` says that it may be sent there"
        )
    return Place(found, root, path, _USERS[found], token)


def forge(place: Place, wait: Callable[[float], None] = time.sleep, dry_run: bool = False) -> Forge | Refusal:
    """The forge, ready to be asked. dry_run: it is only asked what it would send, which needs no token."""
    if not place.token and not dry_run:
        return Refusal(f"no token: set {_VARIABLES[place.kind][0]} in the environment")
    if place.kind == "gitlab":
        return gitlab.GitLab(Client(place.interface, gitlab.headers(place.token), place.token, wait), place.path)
    owner, _, name = place.path.rpartition("/")
    owner = owner.rpartition("/")[2]
    if not owner or not name:
        return Refusal(f"{place.path!r} does not name an owner and a repository; correct the remote's address")
    if place.kind == "gitea":
        return gitea.Gitea(Client(place.interface, gitea.headers(place.token), place.token, wait), owner, name)
    return github.GitHub(Client(place.interface, github.headers(place.token), place.token, wait), owner, name)


def _parts(url: str) -> tuple[str, str, str] | None:
    """Scheme, host (with its port) and path of a remote's address."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https", "ssh", "git", "git+ssh", "ssh+git"):
        host, path = parts.netloc.rpartition("@")[2].lower(), parts.path
        scheme = parts.scheme if parts.scheme in ("http", "https") else "ssh"
    else:
        match = _SCP.fullmatch(url)
        if match is None or len(match.group(1)) == 1:  # `C:\...` is no host
            return None
        scheme, host, path = "ssh", match.group(1).lower(), match.group(2)
    path = unquote(path).strip("/").removesuffix(".git").strip("/")
    return (scheme, host, path) if host and path else None


def _by_label(host: str) -> str:
    return next(
        (_LABELS[part] for part in host.split(".") if part in _LABELS), "github" if host.endswith(".ghe.com") else ""
    )


def _interface(kind: str, name: str, scheme: str, host: str) -> str:
    if kind == "github" and name == "github.com":
        return "https://api.github.com"
    if kind == "github" and name.endswith(".ghe.com"):
        return f"https://api.{name}"
    # The port of ssh says nothing about that of HTTP.
    return f"{scheme}://{host}{_INTERFACE[kind]}" if scheme != "ssh" else f"https://{name}{_INTERFACE[kind]}"


def _named(kind: str, environ: Mapping[str, str]) -> set[str]:
    values = (environ.get(variable, "") for variable in _HOSTS[kind])
    return {(urlsplit(v).hostname or "") if "://" in v else v.lower() for v in values if v}


def _token(kind: str, host: str, environ: Mapping[str, str], trusted: bool) -> str:
    enterprise = _ENTERPRISE if kind == "github" and host != "github.com" else ()
    ordinary = _VARIABLES[kind] if trusted else ()
    return next((environ[v].strip() for v in (*enterprise, *ordinary) if environ.get(v, "").strip()), "")


def _shown(url: str) -> str:
    return re.sub(r"(\w+://)[^/@\s]+@", r"\1", url)
