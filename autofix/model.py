"""The values that flow through the pipeline.

Everything the tool shows (terminal, diff, JSON) is a rendering of these. They are immutable and this module
imports nothing of ours, so that every other module may import it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open range of **bytes** in a file as it lies on disk (BOM and encoding included)."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"not a span: {self.start}..{self.end}")

    def touches(self, other: Span) -> bool:
        """Whether the two overlap or share a border: such edits cannot be applied in one pass."""
        return self.start <= other.end and other.start <= self.end


@dataclass(frozen=True, slots=True)
class Source:
    """One file: the path that is shown to people, and its bytes."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the bytes of `span` by `text`; an empty span inserts.

    `text` uses `\\n` for line breaks; composing converts it to the file's own line ending and encoding.
    exact: `text` is already what belongs on disk: its line breaks stay as they are, and a byte that is no text in
    the file's encoding stands in it as a lone surrogate (PEP 383). The edits of a composed patch are exact.
    """

    span: Span
    text: str
    exact: bool = False


class Applicability(enum.Enum):
    """How far a fix may go without asking."""

    SAFE = "safe"  # a relation the verifier checks confines what changes: applied by default
    UNSAFE = "unsafe"  # goes beyond such a relation: needs --unsafe-fixes or an explicit choice
    ADVICE = "advice"  # a finding without a rewrite


class Severity(enum.Enum):
    """By consequence: error = non-finite or no learning in ordinary training; warning = under half
    precision, extreme or degenerate batches; info = accuracy, style, advice."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Relation(enum.Enum):
    """What a fix promises about the code after it, compared with the code before it."""

    EQUAL = "equal"  # same values and gradients on ordinary inputs
    CLAMPED = "clamped"  # after(x) == before(clamp(x, min, max)), for every x, inside the bounds or not
    MASK = "mask"  # same weights after the softmax wherever a row has an unmasked position
    STRAIGHT_THROUGH = "straight-through"  # same forward; the gradient reaches the router
    SOFT = "soft"  # converges to the hard form as temperature -> 0, on the same support
    BALANCE = "balance"  # same outputs; a new auxiliary loss that is 1 at an even load and whose descent evens it
    CLIP = "clip"  # same step while the gradient norm is below the bound; bounded above it
    INITIALISED = "initialised"  # parameters of uninitialised memory hold values of a sane scale; others as before
    INTENDED = "intended"  # another function on purpose: runs and stays finite wherever the original did


@dataclass(frozen=True, slots=True)
class Claim:
    """What the verifier has to run for a fix.

    region: the statements to execute, before and after; None means the statements that the edits touch.
    results: names (or source text of expressions) to compare; empty means whatever the region assigns
        or returns.
    hazard: what the original is accused of and the patch must survive; any of "value" (non-finite value),
        "gradient" (non-finite gradient), "zero-gradient", "exception", "leak" (a masked position keeps
        weight), "underflow", "collapse" (a router that sends all tokens to a few experts), "graph" (a result that
        outlives the step keeps its graph), "warning" (a deprecation), "stale gradients" (a step sees those of earlier
        steps too), "rounding" (half precision selects otherwise than exact scores would, or leaves a gradient of
        exactly 0), "shares" (the first of `results`, weights, has a negative one or sums up to more than 1), "whole
        shares" (to another number than 1), "flattened" (no share is large where one of the inputs has taken all),
        "last alone" (the first of `results` is what the last of several gradients makes it), "fading" (a layer passes
        on less than half of its input's mean square).
    parameters: figures of the relation. CLAMPED: "quantity" (source text of the clamped expression, as it
        stands before the patch), "min", "max" (None when open; source text may read `trial_dtype`, the dtype
        under trial). CLIP: "max_norm", or "clip_value" for a bound on each element. SOFT: "temperature". BALANCE:
        "loss", "choice", "scores": source text of the auxiliary loss, of the indices of the chosen experts, and of
        what the router gives for every expert. INITIALISED: "role" ("weight", "bias", "scale", "embedding") of the
        parameters that `results` names; "behind", "relu" where that takes half of what enters the layers.
        STRAIGHT_THROUGH: "carrier", what attaches a loss to what it hands on: a class of another file whose
        `apply(x, loss)` gives the loss a gradient of one, or a method. Of hazards: "dim", along which "shares" sum up;
        "simplex", source text of what holds shares already; "call", the name of a call whose "warning" is shown by
        itself; "start", what the value that keeps a "graph" in a loop starts as ("0", "[]", "{}").
    change: for a REGULARISED patch, which finite values change and by how much, in words; empty means the
        patch is EXACT.
    assumptions: facts that only a name or a convention supports, stated wherever the evidence is shown.
    extra: claims to run beside the relation. "jacobian": a log-determinant stays that of the elementwise map beside
        it. "zero counts", "unit sizes": also with each number at 0, at 1. "one element": also on tensors of one
        element, and of one row. "accuracy": a REGULARISED patch changes nothing where the original was finite and
        accurate. "half-precision": most inputs that fail in float16 are cured there too.
        "moved": a CLIP whose clips stood elsewhere: what it must equal below the bound is the loop without any.
        "micro-batches": also where the batches that one step sums up differ.
        "full precision only": values change in half precision alone: equality is asked of float32 and float64.
    """

    relation: Relation
    region: Span | None = None
    results: tuple[str, ...] = ()
    hazard: tuple[str, ...] = ("value", "gradient")
    parameters: Mapping[str, Scalar] = field(default_factory=dict, hash=False)
    change: str = ""
    assumptions: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fix:
    """All or nothing: either every edit is applied or none."""

    title: str
    edits: tuple[Edit, ...]
    applicability: Applicability
    claim: Claim


@dataclass(frozen=True, slots=True)
class Position:
    """1-based line and 1-based column (in characters), as editors show them."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One place, one cause. `fix` is None exactly when `unfixed_reason` says why."""

    rule: str
    path: str
    span: Span
    start: Position
    end: Position
    message: str
    severity: Severity
    fix: Fix | None = None
    unfixed_reason: str = ""

    @property
    def applicability(self) -> Applicability:
        return self.fix.applicability if self.fix else Applicability.ADVICE


class Verdict(enum.Enum):
    PROVED = "PROVED"  # a witness exists, the patched code survives it, and every other claim holds
    CONSISTENT = "CONSISTENT"  # no witness found, nothing contradicted
    REFUTED = "REFUTED"  # the patched code broke a claim
    INCONCLUSIVE = "INCONCLUSIVE"  # could not be executed; the reason says why


class Level(enum.Enum):
    EXPRESSION = "expression"
    BLOCK = "block"
    MODULE = "module"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """One claim as it was run: its name ("witness", "equal", "coverage", ...), whether it held, and detail."""

    name: str
    held: bool | None  # None: could not be decided
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What running a fix showed.

    witness: Python that a person can paste: it shows the failure before and the survival after. Empty when
        none was found.
    witness_summary: one line for a terminal: "x = 5 x 7 float32 of +/-100: before nan, after -200.0".
    """

    verdict: Verdict
    level: Level | None = None
    claims: tuple[ClaimResult, ...] = ()
    witness: str = ""
    witness_summary: str = ""
    reason: str = ""
    seconds: float = 0.0
    assumptions: tuple[str, ...] = ()
    exact: bool | None = None  # True: EXACT; False: REGULARISED; None: not decided
    change: str = ""
    sandbox: str = ""  # what isolated the code while it ran


@dataclass(frozen=True, slots=True)
class Problem:
    """One line about a file that could not be processed, with the remedy."""

    path: str
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Patch:
    """One file before and after.

    edits: against the original bytes, sorted, not touching each other, whatever the number of passes it took.
    applied: the findings whose fixes are in it. deferred: those whose fixes touch an applied one, left for the
    next run. rejected: those whose fixes cannot be applied here, each with the reason in words.
    """

    source: Source
    after: bytes
    edits: tuple[Edit, ...]
    applied: tuple[Finding, ...] = ()
    deferred: tuple[Finding, ...] = ()
    rejected: tuple[tuple[Finding, str], ...] = ()
