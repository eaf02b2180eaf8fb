from __future__ import annotations

import ast
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autofix.model import Applicability, Claim, Edit, Finding, Fix, Patch, Position, Relation, Severity, Source, Span
from autofix.patch import apply_edits, compose, encoding_of, merge
from autofix.syntax import parse

TORCH = "import torch\n"


def finding(*edits: Edit, at: int | None = None, rule: str = "some-rule") -> Finding:
    span = Span(at, at) if at is not None else max(e.span for e in edits)
    fix = Fix("change it", edits, Applicability.SAFE, Claim(Relation.EQUAL))
    return Finding(rule, "m.py", span, Position(1, 1), Position(1, 1), "message", Severity.ERROR, fix)


def replace(data: bytes, old: bytes, text: str) -> Edit:
    assert data.count(old) == 1
    return Edit(Span(data.index(old), data.index(old) + len(old)), text)


# -- files and edits at random ---------------------------------------------------------------------------------

PIECES = [
    b"x = 1",
    b"\n",
    b"\r\n",
    b"\r",
    b"\x0c",
    "é".encode(),
    "\u2028".encode(),
    b"\xff",
    b"\xe9",
    b"\t",
    b"",
    b"--- a",
]
CODINGS = [b"", b"\xef\xbb\xbf", b"# coding: latin-1\n", b"# -*- coding: shift_jis -*-\n", b"# coding: nonsense\n"]
contents = st.builds(
    lambda head, body: head + b"".join(body), st.sampled_from(CODINGS), st.lists(st.sampled_from(PIECES), max_size=30)
)
texts = st.lists(st.sampled_from(["y", "\n", "z = 2\n", "", "  ", "é", "\x0c"]), max_size=5).map("".join)


@st.composite
def edits_of(draw: st.DrawFn, size: int) -> list[Edit]:
    borders = sorted(draw(st.lists(st.integers(0, size), max_size=8)))
    pairs = zip(borders[::2], borders[1::2], strict=False)
    return [Edit(Span(start, end), draw(texts)) for start, end in pairs]


@st.composite
def files_with_edits(draw: st.DrawFn) -> tuple[Source, list[Edit]]:
    data = draw(contents)
    return Source("m.py", data), draw(edits_of(len(data)))


def as_patch(source: Source, edits: Sequence[Edit]) -> Patch:
    """A patch with these edits, whether or not they are Python."""
    whole = Patch(source, source.data, ())
    return merge(whole, Patch(source, apply_edits(source, edits), tuple(edits)))


@given(files_with_edits())
def test_bytes_outside_edits_are_identical(case: tuple[Source, list[Edit]]) -> None:
    source, edits = case
    after = apply_edits(source, edits)
    kept, done = [], 0
    for edit in edits:
        kept.append(source.data[done : edit.span.start])
        done = edit.span.end
    kept.append(source.data[done:])
    at = 0
    for part in kept:
        at = after.index(part, at) + len(part)
    assert after.startswith(kept[0])
    assert after.endswith(kept[-1])


@given(files_with_edits())
def test_order_of_separate_edits_does_not_matter(case: tuple[Source, list[Edit]]) -> None:
    source, edits = case
    separate = [e for i, e in enumerate(edits) if all(not e.span.touches(o.span) for o in edits[:i])]
    assert apply_edits(source, separate) == apply_edits(source, separate[::-1])


@given(st.data())
def test_merged_passes_give_what_the_last_one_gave(data: st.DataObject) -> None:
    source, edits = data.draw(files_with_edits())
    first = as_patch(source, edits)
    middle = Source("m.py", first.after)
    second = as_patch(middle, data.draw(edits_of(len(first.after))))
    merged = merge(first, second)
    assert merged.after == second.after
    assert apply_edits(source, merged.edits) == second.after
    for one, other in zip(merged.edits, merged.edits[1:], strict=False):
        assert one.span < other.span
        assert not one.span.touches(other.span)
    for edit in merged.edits:
        assert apply_edits(source, [edit]) != source.data


@example((Source("m.py", b"x = 1x = 1x = 1\nx = 1"), [Edit(Span(0, 16), "")]))
@given(files_with_edits())
def test_a_pass_that_undoes_the_one_before_leaves_no_edit(case: tuple[Source, list[Edit]]) -> None:
    source, edits = case
    first = as_patch(source, edits)
    back = Edit(Span(0, len(first.after)), source.data.decode("utf-8", "surrogateescape"), exact=True)
    if encoding_of(first.after) != "utf-8":
        back = Edit(back.span, source.data.decode("latin-1"), exact=True)
    if encoding_of(first.after) not in ("utf-8", "iso-8859-1"):
        return
    second = as_patch(Source("m.py", first.after), [back])
    assert second.after == source.data
    assert merge(first, second).edits == ()


def test_edits_are_trimmed_to_what_changes_without_splitting_a_character() -> None:
    source = Source("m.py", "x = 'aé'\n".encode())
    patch = compose(source, [finding(replace(source.data, "x = 'aé'".encode(), "x = 'aè'"))])
    assert patch.edits == (Edit(Span(6, 8), "è", exact=True),)


def test_merge_refuses_a_second_pass_over_other_bytes() -> None:
    source = Source("m.py", b"a\n")
    with pytest.raises(ValueError, match="other bytes"):
        merge(Patch(source, b"b\n", ()), Patch(source, b"c\n", ()))


# -- bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "at", "after"),
    [
        pytest.param(b"a\nb\n", 2, b"a\nN\nb\n", id="lf"),
        pytest.param(b"a\r\nb\r\n", 3, b"a\r\nN\r\nb\r\n", id="crlf"),
        pytest.param(b"a\rb\r", 2, b"a\rN\rb\r", id="lone-cr"),
        pytest.param(b"a\nb\r\n", 2, b"a\nN\r\nb\r\n", id="mixed-takes-the-line's-own"),
        pytest.param(b"a\r\nb", 4, b"a\r\nbN\r\n", id="last-line-without-ending-takes-the-first"),
        pytest.param(b"a", 1, b"aN\n", id="no-ending-anywhere"),
        pytest.param(b"", 0, b"N\n", id="empty-file"),
        pytest.param(b"\xef\xbb\xbfa\n", 3, b"\xef\xbb\xbfN\na\n", id="bom"),
    ],
)
def test_line_endings(data: bytes, at: int, after: bytes) -> None:
    assert apply_edits(Source("m.py", data), [Edit(Span(at, at), "N\n")]) == after


def test_text_is_written_in_the_file_s_encoding() -> None:
    source = Source("m.py", "# coding: latin-1\nx = 'é'\n".encode("latin-1"))
    after = apply_edits(source, [replace(source.data, b"x", "café")])
    assert after == "# coding: latin-1\ncafé = 'é'\n".encode("latin-1")


def test_a_character_that_the_encoding_lacks_is_escaped_by_apply_and_rejected_by_compose() -> None:
    source = Source("m.py", b"# coding: latin-1\nx = 'a'\n")
    edit = replace(source.data, b"'a'", "'a–b'")
    assert apply_edits(source, [edit]).endswith(b"x = 'a\\u2013b'\n")
    patch = compose(source, [finding(edit)])
    assert (patch.after, patch.edits, patch.applied) == (source.data, (), ())
    assert patch.rejected[0][1] == "the file's encoding, iso-8859-1, has no '\\u2013'"


def test_insertions_at_one_place_keep_their_order() -> None:
    source = Source("m.py", b"ab")
    edits = [Edit(Span(1, 2), "B"), Edit(Span(1, 1), "1"), Edit(Span(0, 1), "A"), Edit(Span(1, 1), "2")]
    assert apply_edits(source, edits) == b"A12B"


@pytest.mark.parametrize("spans", [((0, 2), (1, 3)), ((0, 3), (1, 1)), ((1, 2), (1, 2)), ((0, 9),)])
def test_overlapping_edits_and_edits_outside_the_file_are_errors(spans: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ValueError, match=r"overlaps|after the end"):
        apply_edits(Source("m.py", b"abcd"), [Edit(Span(*s), "x") for s in spans])


# -- composing -------------------------------------------------------------------------------------------------


def test_compose_applies_by_position_and_defers_what_touches() -> None:
    data = b"f(g(x)) + h\n"
    outer, inner = replace(data, b"f(g(x))", "F(g(x))"), replace(data, b"g(x)", "G(x)")
    beside, far = replace(data, b" + ", " - "), replace(data, b"h", "k")
    findings = [finding(far), finding(beside), finding(inner), finding(outer)]
    patch = compose(Source("m.py", data), findings)
    assert patch.after == b"F(g(x)) + k\n"
    assert patch.applied == (findings[3], findings[0])
    assert patch.deferred == (findings[2], findings[1])
    assert patch.edits == (Edit(Span(0, 1), "F", exact=True), Edit(Span(10, 11), "k", exact=True))


def test_an_edit_that_two_fixes_share_is_made_once() -> None:
    data = b"a = f\nb = g\n"
    shared = Edit(Span(0, 0), TORCH)
    findings = [finding(shared, replace(data, b"f", "torch.f")), finding(shared, replace(data, b"g", "torch.g"))]
    patch = compose(Source("m.py", data), findings)
    assert patch.after == b"import torch\na = torch.f\nb = torch.g\n"
    assert len(patch.applied) == 2


def test_the_same_place_with_another_text_is_deferred() -> None:
    data = b"a = f\nb = g\n"
    one = finding(Edit(Span(0, 0), TORCH), replace(data, b"f", "torch.f"))
    other = finding(Edit(Span(0, 0), "import math\n"), replace(data, b"g", "math.g"))
    patch = compose(Source("m.py", data), [one, other])
    assert patch.after == b"import torch\na = torch.f\nb = g\n"
    assert patch.deferred == (other,)


def test_one_fix_may_have_edits_that_touch_each_other() -> None:
    data = b"y = f(x)\nz = 1\n"
    both = finding(Edit(Span(0, 0), "t = g(x)\n"), Edit(Span(0, 8), "y = t"))
    patch = compose(Source("m.py", data), [both])
    assert patch.after == b"t = g(x)\ny = t\nz = 1\n"
    assert len(patch.edits) == 1


@pytest.mark.parametrize("culprits", [{0}, {2}, {5}, {1, 4}, {0, 1, 2, 3, 4, 5}])
def test_a_fix_that_breaks_the_syntax_is_rolled_back_alone(culprits: set[int]) -> None:
    data = b"".join(b"a%d = 1\n" % i for i in range(6))
    findings = [
        finding(replace(data, b"a%d" % i, f"b{i} +" if i in culprits else f"b{i}"), rule=f"rule-{i}") for i in range(6)
    ]
    patch = compose(Source("m.py", data), findings)
    assert patch.after == b"".join(b"%s%d = 1\n" % (b"a" if i in culprits else b"b", i) for i in range(6))
    assert {f.rule for f, _ in patch.rejected} == {f"rule-{i}" for i in culprits}
    assert all(reason.startswith("the file would no longer compile: ") for _, reason in patch.rejected)


def test_a_rule_that_breaks_a_file_again_and_again_is_given_up_there() -> None:
    data = b"".join(b"a%d = 1\n" % i for i in range(40))
    places = [data.index(b"a%d =" % i) for i in range(40)]
    bad = [finding(Edit(Span(p, p), "("), rule="bad") for p in places[::2]]
    good = [finding(Edit(Span(p, p), "b"), rule="good") for p in places[1::2]]
    patch = compose(Source("m.py", data), [*bad, *good])
    assert patch.after == b"".join(b"%sa%d = 1\n" % (b"b" if i % 2 else b"", i) for i in range(40))
    reasons = [reason for _, reason in patch.rejected]
    assert len(reasons) == 20
    assert reasons[0] == "the file would no longer compile: '(' was never closed (line 1)"
    assert reasons[8:] == ["bad broke this file in 8 other places"] * 12


def test_what_compiles_matters_and_not_only_what_parses() -> None:
    data = b"from __future__ import annotations\nx = 1\n"
    patch = compose(Source("m.py", data), [finding(Edit(Span(0, 0), TORCH))])
    assert patch.after == data
    assert "__future__" in patch.rejected[0][1]


def test_a_file_that_never_compiled_is_held_to_its_grammar() -> None:
    data = b"x = 1\nreturn x\n"
    good, bad = finding(replace(data, b"x = 1", "x = 2")), finding(replace(data, b"return x", "return ("))
    patch = compose(Source("m.py", data), [good, bad])
    assert patch.after == b"x = 2\nreturn x\n"
    assert patch.applied == (good,)
    assert patch.rejected[0][0] is bad


def test_a_fix_that_waited_for_a_rejected_one_takes_its_place() -> None:
    data = b"x = f(g)\n"
    broken, sound = finding(replace(data, b"f(g)", "f(")), finding(replace(data, b"g", "h"))
    patch = compose(Source("m.py", data), [broken, sound])
    assert patch.after == b"x = f(h)\n"
    assert patch.applied == (sound,)
    assert patch.deferred == ()


def test_a_fix_that_contradicts_itself_is_rejected_with_the_reason() -> None:
    data = b"x = f(g)\n"
    patch = compose(Source("m.py", data), [finding(replace(data, b"f(g)", "a"), replace(data, b"g", "b"))])
    assert patch.after == data
    assert patch.rejected[0][1].startswith("the fix contradicts itself: ")


def test_findings_without_a_fix_are_no_part_of_a_patch() -> None:
    bare = Finding("r", "m.py", Span(0, 1), Position(1, 1), Position(1, 2), "m", Severity.INFO, None, "advice only")
    patch = compose(Source("m.py", b"x\n"), [bare])
    assert patch == Patch(Source("m.py", b"x\n"), b"x\n", ())


def test_a_sum_of_3000_terms_composes() -> None:
    data = b"x = y\ns = " + b" + ".join([b"a"] * 3000) + b"\n"
    patch = compose(Source("m.py", data), [finding(replace(data, b"x = y", "x = z"))])
    assert patch.after.startswith(b"x = z\n")
    assert patch.rejected == ()


names = st.sampled_from(["a", "bb", "ccc"])


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 12), st.sampled_from(["a", "(", ")", "", "é", "\n"])), max_size=8
    )
)
@example([(0, 0, "("), (0, 0, ")")])
def test_whatever_the_fixes_the_result_compiles_and_nothing_is_lost(raw: list[tuple[int, int, str]]) -> None:
    data = b"a = bb(a, ccc)\r\nif a:\r\n    bb = [a, (bb), ccc]\r\nccc = 1"
    fixes = [finding(Edit(Span(min(s, len(data)), min(s + n, len(data))), t), at=min(s, len(data))) for s, n, t in raw]
    patch = compose(Source("m.py", data), fixes)
    compile(patch.after, "m.py", "exec")
    assert apply_edits(patch.source, patch.edits) == patch.after
    named = [*patch.applied, *patch.deferred, *(f for f, _ in patch.rejected)]
    assert sorted(map(id, named)) == sorted(map(id, fixes))
    assert not patch.deferred or patch.applied


@pytest.mark.parametrize(
    "codec", ["latin-1", "cp1252", "koi8-r", "shift_jis", "euc_jp", "gbk", "big5", "iso2022_jp", "utf-8", "utf-8-sig"]
)
def test_encodings_survive_compose_and_merge(codec: str) -> None:
    cookie = "" if codec == "utf-8-sig" else f"# coding: {codec}\n"
    word = {"latin-1": "é", "cp1252": "€", "koi8-r": "да", "gbk": "中文", "big5": "中文"}.get(codec, "表示ソ")
    text = f"{cookie}x = '{word}'; y = '{word}'\nz = 0\n"
    source = Source("m.py", text.encode(codec))
    module = parse(source)
    assert not hasattr(module, "message")
    constants = [n for n in ast.walk(module.tree) if isinstance(n, ast.Constant)]
    first = compose(source, [finding(Edit(module.span(constants[0]), f"'{word}!'"))])
    assert first.after == text.replace(word, f"{word}!", 1).encode(codec)
    middle = Source("m.py", first.after)
    offset = first.after.index(b"z = 0")
    second = compose(middle, [finding(Edit(Span(offset, offset), "w = 1\n"))])
    merged = merge(first, second)
    assert apply_edits(source, merged.edits) == merged.after == second.after
    assert merged.after.decode(codec).replace("!", "").replace("w = 1\n", "") == text
