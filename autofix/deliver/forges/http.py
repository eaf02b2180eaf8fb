"""One forge's HTTP interface: JSON in and out, limits honoured, nothing repeated that may have had an effect."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from autofix import __version__
from autofix.deliver.forges.protocol import Refusal, Request

if TYPE_CHECKING:
    import httpx  # read when something is sent: `autofix check`, which sends nothing, starts sooner

_TRIES = 4
_LONGEST_WAIT = 90.0  # seconds; beyond it, a person is told when to come back
_PAGES = 30
_BUSY = (429, 500, 502, 503, 504)


def _http() -> httpx.Client:
    import httpx

    return httpx.Client(timeout=httpx.Timeout(30.0, connect=10.0))


@dataclass(frozen=True, slots=True)
class Client:
    """base: the interface's root, without a final slash. headers: sent with each request. token: never shown.
    wait: sleeps for so many seconds."""

    base: str
    headers: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    wait: Callable[[float], None] = time.sleep
    http: httpx.Client = field(default_factory=_http, repr=False)

    def ask(self, request: Request) -> Any | Refusal:
        """The answer's JSON (None when it has none). A request that does something new each time is sent again only
        when the forge said that it did nothing."""
        answer: Any | Refusal = Refusal("it was not sent")
        for number in range(_TRIES):
            answer, pause = self._once(request, number)
            if pause is None or number == _TRIES - 1:
                break
            if pause > _LONGEST_WAIT:
                return Refusal(f"{self._told(answer)}; it takes requests again in {pause:.0f} s: run again then", 429)
            self.wait(pause)
        return answer

    def pages(self, request: Request, size: str = "per_page", most: int = 100) -> Iterator[Any] | Refusal:
        """Every element of a list that comes in pages."""
        found: list[Any] = []
        for page in range(1, _PAGES + 1):
            query = {**request.query, size: str(most), "page": str(page)}
            answer = self.ask(Request("GET", request.path, query=query))
            if isinstance(answer, Refusal):
                return answer
            if not isinstance(answer, list):
                return Refusal(f"GET {request.path}: the answer is not a list")
            found += answer
            if len(answer) < most:
                break
        return iter(found)

    def _once(self, request: Request, number: int) -> tuple[Any | Refusal, float | None]:
        """The answer, and after how many seconds the request may be sent again (None: it must not)."""
        import httpx

        try:
            reply = self.http.request(
                request.method,
                self.base + request.path,
                params=dict(request.query) or None,
                json=request.body,
                headers=dict(self.headers) | {"User-Agent": f"autofix/{__version__}"},
            )
        except httpx.TransportError as error:
            unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            words = f"{self._name(request)}: no answer ({self._clean(str(error) or type(error).__name__)})"
            again = 0.5 * 2**number if unsent or request.repeat else None
            return Refusal(f"{words}; check the network and run again", 0, sent=not unsent), again
        if reply.is_success:
            return self._json(request, reply), None
        refusal = Refusal(self._explained(request, reply), reply.status_code, sent=reply.status_code >= 500)
        pause = _pause(reply)
        if pause is not None:  # the forge says that it did nothing, and when it will
            return refusal, pause if _limited(reply) or request.repeat else None
        if reply.status_code in _BUSY and request.repeat:
            return refusal, 0.5 * 2**number
        return refusal, None

    def _json(self, request: Request, reply: httpx.Response) -> Any | Refusal:
        if not reply.content:
            return None
        try:
            return reply.json()
        except ValueError:
            return Refusal(f"{self._name(request)}: the answer is not JSON; is {self.base} the right address?")

    def _explained(self, request: Request, reply: httpx.Response) -> str:
        said = self._clean(_message(reply))
        text = f"{self._name(request)}: {reply.status_code} {said}".rstrip()
        if reply.is_redirect:
            return f"{text}; it has moved, so correct the remote's address with `git remote set-url`"
        remedy = _REMEDIES.get(reply.status_code, "")
        return f"{text}; {remedy}" if remedy and not _limited(reply) else text

    def _name(self, request: Request) -> str:
        return f"{request.method} {self.base}{request.path}"

    def _told(self, answer: Any) -> str:
        return answer.message if isinstance(answer, Refusal) else ""

    def _clean(self, text: str) -> str:
        if self.token:
            text = text.replace(self.token, "***").replace(quote(self.token, safe=""), "***")
        return re.sub(r"\s+", " ", re.sub(r"[\x00-\x1f\x7f]", " ", text))[:500]


_REMEDIES = {
    401: "the token is missing, wrong or expired",
    403: "the token may not do this: give it write access to pull requests and contents",
    404: "the repository does not exist, or the token may not see it",
}


def _message(reply: httpx.Response) -> str:
    """What a forge says in an error, its list of fields included."""
    try:
        answer = reply.json()
    except ValueError:
        return reply.reason_phrase
    if not isinstance(answer, dict):
        return reply.reason_phrase
    said = answer.get("message") or answer.get("error") or reply.reason_phrase
    parts = [str(said)]
    errors = answer.get("errors")
    for one in errors if isinstance(errors, list) else ():
        if isinstance(one, dict):
            text = one.get("message") or " ".join(str(one[k]) for k in ("field", "code") if k in one)
            parts.append(str(text))
        else:
            parts.append(str(one))
    return ": ".join(p for p in parts if p)


def _limited(reply: httpx.Response) -> bool:
    """Whether the forge turned the request away for its number, before doing anything."""
    if reply.status_code == 429:
        return True
    spent = reply.headers.get("x-ratelimit-remaining") == "0" or "retry-after" in reply.headers
    return reply.status_code == 403 and (spent or "rate limit" in _message(reply).lower())


def _pause(reply: httpx.Response) -> float | None:
    """Seconds to wait as the answer says; None when it says nothing."""
    given = reply.headers.get("retry-after", "").strip()
    if given:
        if given.isdigit():
            return float(given)
        try:
            return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
        except (TypeError, ValueError):
            pass
    if not _limited(reply):
        return None
    reset = reply.headers.get("x-ratelimit-reset") or reply.headers.get("ratelimit-reset") or ""
    if reply.headers.get("x-ratelimit-remaining", "0") == "0" and reset.isdigit():
        return max(1.0, float(reset) - time.time() + 1.0)
    return 60.0  # what GitHub asks for when it gives no time
