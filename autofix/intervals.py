"""Interval arithmetic over floating-point numbers.

An `Interval` holds every value, NaN apart, that an expression can take in single precision or better. Ends are
rounded like the values themselves, so a computed value may lie outside by a few units in the last place; whether it
can be exactly zero is kept apart and takes underflow into account.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

_INF = math.inf
_TINY = 1.2e-38  # the smallest normal number in single precision; products below may round to zero


@dataclass(frozen=True, slots=True)
class Interval:
    """The values between `low` and `high`.

    low_open, high_open: the end itself is not taken. zero: the value can be exactly 0. integer: a whole number.
    """

    low: float = -_INF
    high: float = _INF
    low_open: bool = False
    high_open: bool = False
    zero: bool = True
    integer: bool = False

    @property
    def known(self) -> bool:
        """Whether it says anything: some end is finite, or zero is excluded."""
        return self.low > -_INF or self.high < _INF or not self.zero

    @property
    def bounded(self) -> bool:
        return self.low > -_INF and self.high < _INF

    @property
    def non_negative(self) -> bool:
        return self.low >= 0

    @property
    def non_positive(self) -> bool:
        return self.high <= 0

    @property
    def positive(self) -> bool:
        return self.low >= 0 and not self.zero

    @property
    def probability(self) -> bool:
        return self.low >= 0 and self.high <= 1

    @property
    def magnitude(self) -> float:
        """The least distance from zero, as far as it is known."""
        if self.low > 0 or self.high < 0:
            return min(abs(self.low), abs(self.high))
        return 0.0

    def holds(self, value: float, slack: float = 0.0) -> bool:
        """Whether `value` may occur; `slack` is allowed outside, relative to the end and to 1."""
        if math.isnan(value):
            return True
        if value == 0:
            return self.zero and self.low <= 0 <= self.high
        low = self.low - slack * max(1.0, abs(self.low)) if math.isfinite(self.low) else self.low
        high = self.high + slack * max(1.0, abs(self.high)) if math.isfinite(self.high) else self.high
        if slack == 0 and ((self.low_open and value == self.low) or (self.high_open and value == self.high)):
            return False
        return low <= value <= high


UNKNOWN = Interval()
NON_NEGATIVE = Interval(0.0, _INF)
NON_POSITIVE = Interval(-_INF, 0.0)
POSITIVE = Interval(0.0, _INF, low_open=True, zero=False)
PROBABILITY = Interval(0.0, 1.0)
SIGNED_UNIT = Interval(-1.0, 1.0)
BOOLEAN = Interval(0.0, 1.0, integer=True)
COUNT = Interval(0.0, _INF, integer=True)
SIZE = Interval(1.0, _INF, zero=False, integer=True)  # of a dimension that is not empty


def make(
    low: float,
    high: float,
    *,
    zero: bool | None = None,
    low_open: bool = False,
    high_open: bool = False,
    integer: bool = False,
) -> Interval:
    """An interval whose `zero` follows from its ends unless it is given; NaN ends become unknown."""
    if math.isnan(low):
        low = -_INF
    if math.isnan(high):
        high = _INF
    if low > high:
        return UNKNOWN
    inside = (low < 0 or (low == 0 and not low_open)) and (high > 0 or (high == 0 and not high_open))
    may_be_zero = inside if zero is None else zero and low <= 0 <= high
    low_open = low_open or (low == 0 and not may_be_zero)
    high_open = high_open or (high == 0 and not may_be_zero)
    return Interval(low, high, low_open, high_open, may_be_zero, integer)


def constant(value: float) -> Interval:
    if math.isnan(value):
        return UNKNOWN
    return make(float(value), float(value), integer=float(value).is_integer())


def negate(x: Interval) -> Interval:
    return Interval(0.0 - x.high, 0.0 - x.low, x.high_open, x.low_open, x.zero, x.integer)


def add(x: Interval, y: Interval) -> Interval:
    low, high = x.low + y.low, x.high + y.high
    # A sum is exactly zero only when the terms are opposite numbers, so an open end at zero stays open; any other
    # open end may be reached by rounding.
    low_open = low == 0 and (x.low_open or y.low_open or _zero_excluded(x, y, -1))
    high_open = high == 0 and (x.high_open or y.high_open or _zero_excluded(x, y, 1))
    zero = None
    if (low == 0 and low_open) or (high == 0 and high_open):
        zero = False
    return make(low, high, zero=zero, low_open=low_open, high_open=high_open, integer=x.integer and y.integer)


def _zero_excluded(x: Interval, y: Interval, sign: int) -> bool:
    """Whether one of two terms of the same sign is never zero."""
    if sign < 0:
        return x.low >= 0 and y.low >= 0 and not (x.zero and y.zero)
    return x.high <= 0 and y.high <= 0 and not (x.zero and y.zero)


def subtract(x: Interval, y: Interval) -> Interval:
    return add(x, negate(y))


def multiply(x: Interval, y: Interval) -> Interval:
    ends = [_product(a, b) for a in (x.low, x.high) for b in (y.low, y.high)]
    zero = x.zero or y.zero or x.magnitude * y.magnitude < _TINY
    if x.integer and y.integer:
        zero = x.zero or y.zero
    return make(min(ends), max(ends), zero=zero, integer=x.integer and y.integer)


def _product(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def divide(x: Interval, y: Interval) -> Interval:
    """x / y; nothing is known when y may be zero."""
    if y.zero or y.low < 0 < y.high:
        return UNKNOWN
    if x.low >= 0 and x.high == _INF and y.low == _INF:
        return NON_NEGATIVE
    ends = [_quotient(a, b, y) for a in (x.low, x.high) for b in (y.low, y.high)]
    zero = x.zero or y.low == -_INF or y.high == _INF or x.magnitude / max(abs(y.low), abs(y.high)) < _TINY
    return make(min(ends), max(ends), zero=zero)


def _quotient(a: float, b: float, y: Interval) -> float:
    if a == 0:
        return 0.0
    if b == 0:
        return math.copysign(_INF, a) * (1 if y.low >= 0 else -1)
    if math.isinf(b):
        return 0.0 if math.isfinite(a) else math.copysign(_INF, a) * math.copysign(1, b)
    return a / b


def join(*parts: Interval) -> Interval:
    """The smallest interval that holds all of them."""
    low, high = min(p.low for p in parts), max(p.high for p in parts)
    return Interval(
        low,
        high,
        all(p.low_open for p in parts if p.low == low),
        all(p.high_open for p in parts if p.high == high),
        any(p.zero for p in parts),
        all(p.integer for p in parts),
    )


def maximum(x: Interval, y: Interval) -> Interval:
    low, high = max(x.low, y.low), max(x.high, y.high)
    zero = (x.zero and (y.low < 0 or y.zero)) or (y.zero and (x.low < 0 or x.zero))
    low_open = (x.low_open and x.low == low) or (y.low_open and y.low == low)
    return make(low, high, zero=zero, low_open=low_open, integer=x.integer and y.integer)


def minimum(x: Interval, y: Interval) -> Interval:
    return negate(maximum(negate(x), negate(y)))


def absolute(x: Interval) -> Interval:
    if x.low >= 0:
        return x
    if x.high <= 0:
        return negate(x)
    return make(0.0, max(-x.low, x.high), zero=x.zero, integer=x.integer)


def increasing(x: Interval, function: Callable[[float], float], *, zero: bool | None = None) -> Interval:
    """The image under a monotone function that is defined, infinities included, on the whole interval."""
    return make(function(x.low), function(x.high), zero=zero)


def power(x: Interval, y: Interval) -> Interval:
    if y.low == y.high and math.isfinite(y.low):
        return _fixed_power(x, y.low)
    if x.low > 0 and x.low == x.high:
        return exponential(multiply(y, constant(math.log(x.low))))
    if x.low >= 0:
        if x.high <= 1 and y.low >= 0:
            return PROBABILITY
        return make(1.0, _INF) if x.low >= 1 and y.low >= 0 else NON_NEGATIVE
    return UNKNOWN


def _fixed_power(x: Interval, n: float) -> Interval:
    if n == 0:
        return constant(1.0)
    if n < 0:
        return divide(constant(1.0), _fixed_power(x, -n))
    zero = x.zero or _raise(x.magnitude, n) < _TINY
    if n.is_integer() and n % 2 == 0:
        x = absolute(x)
    elif not n.is_integer():
        x = Interval(max(x.low, 0.0), max(x.high, 0.0), zero=x.zero)  # NaN below zero
    return make(_raise(x.low, n), _raise(x.high, n), zero=zero, integer=x.integer and n.is_integer())


def _raise(base: float, n: float) -> float:
    try:
        return math.copysign(abs(base) ** n, base)
    except OverflowError:
        return math.copysign(_INF, base)


def exponential(x: Interval) -> Interval:
    return increasing(x, exp, zero=x.low < -87)


def exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return _INF


def logarithm(x: Interval) -> Interval:
    """Of a negative number it is NaN; of zero it is -inf."""
    return increasing(Interval(max(x.low, 0.0), max(x.high, 0.0)), log)


def log(value: float) -> float:
    if value <= 0:
        return -_INF
    return _INF if value == _INF else math.log(value)


def root(x: Interval) -> Interval:
    return _fixed_power(x, 0.5)
