"""What an exponent stands for, told by its name, and the bounds that convention gives to it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from autofix.rule import Options
from autofix.tree import spaced

_SUFFIX = r"(_?\d|_[a-z]|_(prior|post|posterior|pred|prev|new|old))?$"
_PROBABILITY = re.compile(
    r"(^|_)(log_?(prob|probs|p|ps|pi|pis|likelihood)|logp\w?|lprobs?|logprobs?)(_|s?$|\d)|log_?probs?(_|$)"
)


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of exponent. key: its name in the configuration (`<key>-min`, `<key>-max`)."""

    key: str
    words: str
    low: float | None
    high: float


@dataclass(frozen=True, slots=True)
class Bounds:
    low: float | None
    high: float


LOG_STD = Role("log-std", "the logarithm of a standard deviation", -15.0, 10.0)  # half of a log-variance's
POLICY_LOG_STD = Role("log-std", LOG_STD.words, -20.0, 2.0)  # of actions, which lie between -1 and 1
LOG_VARIANCE = Role("log-variance", "a log-variance", -30.0, 20.0)
LOG_SCALE = Role("log-scale", "a log-scale", -10.0, 10.0)
LOGIT_SCALE = Role("logit-scale", "a learned logit scale", None, math.log(100.0))
LOG_RATIO = Role("log-ratio", "a difference of log-probabilities", -20.0, 20.0)

_NAMES = (
    (LOGIT_SCALE, re.compile(r"(^|_)(logit_?scales?|log_?(inv_?)?temp(erature)?)" + _SUFFIX)),
    (LOG_VARIANCE, re.compile(r"(^|_)(log_?(vars?|variances?|sigma_?(2|sq|squared?))|lnvar)" + _SUFFIX)),
    (LOG_STD, re.compile(r"(^|_)(log_?(stds?|stddevs?|std_?devs?|sigmas?|sig)|lstd|logs)" + _SUFFIX)),
    (LOG_SCALE, re.compile(r"(^|_)log_?(s|scales?)" + _SUFFIX)),
)  # fmt: skip
_SCHEDULED = re.compile(r"^(model|posterior|true)_log_?var(iance)?(_clipped)?$")
_RATIO = re.compile(r"(^|_)log_?(prob_?)?(ratios?|rho)" + _SUFFIX)
_STD = re.compile(r"(^|_)(stds?|sigmas?|stddev|std_dev|scales?)" + _SUFFIX)
_VARIANCE = re.compile(r"(^|_)(vars?|variances?)" + _SUFFIX)


def role_of(name: str) -> Role | None:
    """The role that a name of the exponent tells."""
    plain = _plain(name)
    return next((role for role, pattern in _NAMES if pattern.search(plain)), None)


def role_of_result(name: str) -> Role | None:
    """The role of an exponent whose exponential is called `name`."""
    plain = _plain(name)
    if "logit" in plain or "temp" in plain:
        return None
    if _STD.search(plain):
        return LOG_STD
    return LOG_VARIANCE if _VARIANCE.search(plain) else None


def is_of_a_schedule(name: str) -> bool:
    """Whether a name is that of a diffusion step's log-variance, which lies between two that the schedule gives."""
    return _SCHEDULED.search(_plain(name)) is not None


def is_ratio(name: str) -> bool:
    return _RATIO.search(_plain(name)) is not None


def is_log_probability(name: str) -> bool:
    return _PROBABILITY.search(_plain(name)) is not None


def _plain(name: str) -> str:
    return spaced(name).lower().strip("_")


def bounds(role: Role, rule: str, options: Options) -> Bounds:
    """The bounds to write: the configured ones, else those of convention."""
    low = options.setting(rule, f"{role.key}-min", role.low)
    high = options.setting(rule, f"{role.key}-max", role.high)
    return Bounds(
        float(low) if isinstance(low, (int, float)) else None,
        float(high) if isinstance(high, (int, float)) else role.high,
    )
