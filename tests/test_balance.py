"""Expert balance: the measures against naive formulas, and what is read of every format."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autofix.balance import measures
from autofix.balance.analysis import Balance, balances, compare
from autofix.balance.blocks import MAX_LINE, Block, blocks
from autofix.balance.printed import END, read_block
from autofix.balance.reading import read
from autofix.balance.series import MAX_BINS, Layer, RoutingLog
from autofix.balance.verdict import Thresholds, Verdict, advice, conditions, is_worse, judge
from autofix.model import Problem

DATA = Path(__file__).parent / "data"
TRAINING, VALIDATION = DATA / "balance_training.log", DATA / "balance_validation.log"

loads = st.lists(st.integers(0, 10**6), min_size=2, max_size=40)
rows = st.integers(1, 5).flatmap(
    lambda experts: st.lists(
        st.lists(st.integers(0, 10**5), min_size=experts, max_size=experts), min_size=1, max_size=700
    )
)


def log_of(path: Path) -> RoutingLog:
    found = read(str(path))
    assert isinstance(found, RoutingLog), found
    return found


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def totals(log: RoutingLog) -> dict[str, list[int | float]]:
    return {name: layer.totals for name, layer in log.layers.items()}


def printed(text: bytes, size: int = 1 << 16) -> RoutingLog:
    log = RoutingLog("log")
    for block in blocks(BytesIO(text), b"", END, size):
        read_block(log, block)
    return log


# -- measures ------------------------------------------------------------------------------------------------------


@given(loads)
def test_measures_are_their_definitions(values: list[int]) -> None:
    # The naive formulas round a few times for each of 40 values: 1e-9 is far above that and far below any digit shown.
    total, count = sum(values), len(values)
    middle = total / count
    if total:
        assert math.isclose(
            measures.coefficient_of_variation(values), statistics.pstdev(values) / middle, rel_tol=1e-9, abs_tol=1e-9
        )
        pairs = sum(abs(a - b) for a in values for b in values)
        assert math.isclose(measures.gini(values), pairs / (2 * count * total), rel_tol=1e-9, abs_tol=1e-9)
        entropy = -sum(v / total * math.log(v / total) for v in values if v) / math.log(count)
        assert math.isclose(measures.normalized_entropy(values), entropy, rel_tol=1e-9, abs_tol=1e-9)
    assert measures.moved_share(values, values) == 0
    assert measures.max_over_min(values) >= 1


@given(loads, st.randoms())
def test_the_order_of_experts_does_not_matter(values: list[int], chooser: object) -> None:
    other = sorted(values)
    for measure in (measures.coefficient_of_variation, measures.gini, measures.normalized_entropy):
        assert math.isclose(measure(values), measure(other), rel_tol=1e-12, abs_tol=1e-12)


def test_measures_at_their_ends() -> None:
    assert measures.coefficient_of_variation([0, 0]) == 0
    assert measures.max_over_min([0, 5]) == math.inf
    assert measures.max_over_min([0, 0]) == 1
    assert measures.normalized_entropy([5, 0, 0]) == 0
    assert measures.gini([0, 0, 9]) == pytest.approx(1 - 1 / 3)
    assert measures.moved_share([1, 0], [0, 1]) == 1


@given(st.lists(st.integers(0, 6), min_size=4, max_size=30))
def test_the_trend_test_is_symmetric_in_time(values: list[int]) -> None:
    forward, backward = measures.mann_kendall(values), measures.mann_kendall(values[::-1])
    assert forward.tau == -backward.tau
    assert forward.p == backward.p
    assert 0 <= forward.p <= 1


def test_the_trend_test_by_hand() -> None:
    # S = 10 of 10 pairs, variance 5 * 4 * 15 / 18, z = (10 - 1) / sqrt(variance)
    found = measures.mann_kendall([1, 2, 3, 4, 5])
    assert found.tau == 1
    assert found.p == pytest.approx(math.erfc(9 / math.sqrt(5 * 4 * 15 / 18) / math.sqrt(2)))
    assert measures.mann_kendall([3, 3, 3, 3, 3]).p == 1


def test_chance_variation_is_what_even_routing_shows() -> None:
    generator = np.random.default_rng(0)
    drawn = generator.multinomial(600, [1 / 6] * 6, size=4000)
    spread = math.sqrt(np.mean([measures.coefficient_of_variation(list(row)) ** 2 for row in drawn]))
    # The relative standard error of a mean square of 4000 samples of five degrees of freedom is about 1 %.
    assert spread == pytest.approx(measures.chance_variation(6, 600), rel=0.04)


# -- series ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(1, 300))
def test_bins_hold_every_row_in_order(table: list[list[int]], at_once: int) -> None:
    layer = Layer("1", [0] * len(table[0]))
    for start in range(0, len(table), at_once):
        layer.add(list(zip(*table[start : start + at_once], strict=True)))
    assert layer.totals == [sum(column) for column in zip(*table, strict=True)]
    assert layer.rows == len(table)
    assert len(layer.bins) <= MAX_BINS
    expected = [table[i : i + layer.width] for i in range(0, len(table), layer.width)]
    assert [list(b) for b in layer.bins] == [[sum(c) for c in zip(*part, strict=True)] for part in expected]
    assert layer.filled == len(expected[-1])


# -- printed tensors -------------------------------------------------------------------------------------------------


def test_the_figures_of_a_real_run() -> None:
    training, validation = balances(log_of(TRAINING)), balances(log_of(VALIDATION))
    assert [one.totals for one in training] == [
        (207529, 193788, 229795, 238153, 247694, 204001),
        (243533, 193379, 215825, 222515, 243877, 201831),
    ]
    assert [one.rows for one in training] == [43, 43]
    assert {sum(one.means) for one in training} == {30720.0}
    shown = [(round(100 * one.cv, 2), round(one.max_min, 3)) for one in (*training, *validation)]
    assert shown == [(8.88, 1.278), (8.67, 1.261), (9.96, 1.237), (11.0, 1.39)]
    assert all(not one.dead for one in (*training, *validation))
    judged = [judge(one, Thresholds()).verdict for one in (*training, *validation)]
    assert judged == [Verdict.MODERATE] * 4
    compared = compare(training, validation)
    assert [is_worse(one, compared[one.name].balance) for one in training] == [False, True]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 99999), min_size=3, max_size=3), min_size=1, max_size=60),
    st.sampled_from(["", ", device='cuda:0'", ", dtype=torch.int32", ", device='cuda:1', dtype=torch.int32"]),
    st.sampled_from(["", "step 7: ", "[2024-01-01 10:00:00] INFO routing "]),
    st.integers(1, 400),
)
def test_printed_tensors_in_every_dress(table: list[list[int]], argument: str, prefix: str, size: int) -> None:
    text = "".join(f"{prefix}[(1, tensor({row}{argument})), (2, tensor({row[:2]}{argument}))]\n" for row in table)
    log = printed(text.encode(), size)
    sums = [sum(column) for column in zip(*table, strict=True)]
    assert totals(log) == {"1": sums, "2": sums[:2]}
    assert (log.rows, log.skipped_count) == (len(table), 0)


@pytest.mark.parametrize("experts", [5, 16, 64, 300])
@pytest.mark.parametrize("floating", [False, True])
def test_what_torch_prints_over_several_lines(experts: int, floating: bool) -> None:
    torch.manual_seed(0)
    counts = torch.randint(0, 20000, (40, 2, experts))
    tensors = counts.double() if floating else counts
    text = "".join(f"{[(1, row[0]), (2, row[1])]}\n" for row in tensors)
    log = printed(text.encode(), 5000)
    assert totals(log) == {"1": counts[:, 0].sum(0).tolist(), "2": counts[:, 1].sum(0).tolist()}
    assert (log.rows, log.skipped_count) == (40, 0)


def test_layers_in_records_of_their_own() -> None:
    log = printed(b"[(1, tensor([1, 2]))]\n[('moe.3', tensor([3, 4]))]\n" * 500)
    assert totals(log) == {"1": [500, 1000], "moe.3": [1500, 2000]}


GOOD = b"[(1, tensor([10, 20])), (2, tensor([30, 40]))]"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[(1, tensor([1 0, 20])), (2, tensor([30, 40]))]", "'1 0' is not a number"),
        (b"[(1, tensor([10, ])), (2, tensor([30, 40]))]", "a number is missing"),
        (b"[(1, tensor([10, 20]5)), (2, tensor([30, 40]))]", "unexpected"),
        (b"[(1, tensor([10, ]20)), (2, tensor([30, 40]))]", "unexpected"),
        (b"[(1, 7tensor([, 20])), (2, tensor([30, 40]))]", "not a list of pairs"),
        (b"[(1, tensor([10, -20])), (2, tensor([30, 40]))]", "a load is negative"),
        (b"[(1, tensor([10, nan])), (2, tensor([30, 40]))]", "a load is nan"),
        (b"[(1, tensor([10, inf])), (2, tensor([30, 40]))]", "a load is inf"),
        (b"[(1, tensor([10, 20, 30])), (2, tensor([30, 40]))]", "3 experts here and 2 before"),
        (b"[(1, tensor([10, 99999999999999999999])), (2, tensor([30, 40]))]", "larger than 2**63"),
        (b"[(1, tensor([10, " + b"9" * 5000 + b"])), (2, tensor([30, 40]))]", "a number of 5,000 characters"),
        (b"[(1, tensor([10, 20])), (2, tensor([30, 4", "ends inside a tensor"),
        (b"[(1, tensor([10, ..., 20])), (2, tensor([30, 40]))]", "abbreviated"),
        (b"epoch 3 loss 0.25", "no tensor"),
        (b"[('\x1b[31m', tensor([1, 2]))]", "not printable"),
        (b"\xff\xfe\x00garbage", "no tensor"),
    ],
)
@pytest.mark.parametrize("place", [0, 1, 150, 299])
def test_a_malformed_record_is_named_and_costs_only_itself(line: bytes, reason: str, place: int) -> None:
    text = [GOOD] * 300
    text.insert(place + 1, line)
    log = printed(b"\n".join(text) + b"\n")
    assert totals(log) == {"1": [3000, 6000], "2": [9000, 12000]}
    assert log.skipped_count == 1
    assert log.skipped[0].line == place + 2
    assert reason in log.skipped[0].reason


def test_many_malformed_lines_are_counted() -> None:
    log = printed((GOOD + b"\nloss 0.5\n") * 2000)
    assert (log.rows, log.skipped_count) == (2000, 2000)
    assert [one.line for one in log.skipped] == [2, 4, 6, 8, 10]


def test_a_line_beyond_any_length_is_skipped_in_bounded_memory() -> None:
    pieces = itertools.chain(
        [GOOD + b"\n", b"[(1, tensor(["], itertools.repeat(b"5, " * 20_000, 1700), [b"5]))]\n" + GOOD + b"\n"]
    )

    class Stream(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return next(pieces, b"")

    found = list(blocks(Stream(), b"", END))
    assert [(b.line, b.too_long) for b in found] == [(1, False), (2, True), (3, False)]
    assert max(len(b.data) for b in found) <= MAX_LINE
    assert found[2] == Block(3, GOOD + b"\n")


# -- other formats -----------------------------------------------------------------------------------------------------

TABLE = [[[10, 20, 30], [5, 5, 5]], [[11, 21, 31], [6, 4, 5]], [[12, 22, 32], [7, 3, 5]]]
SUMS = {"1": [33, 63, 93], "2": [18, 12, 15]}


FLAT = [(step, layer, row) for step, record in enumerate(TABLE) for layer, row in enumerate(record, 1)]

TEXTS = {
    "json-rows": [json.dumps({"step": step, "layer": layer, "counts": row}) for step, layer, row in FLAT],
    "json-nested": [json.dumps({"step": 1, "layers": {"1": one, "2": two}}) for one, two in TABLE],
    "json-flat": [json.dumps({"1": one, "2": two}) for one, two in TABLE],
    "json-arrays": [json.dumps(record) for record in TABLE],
    "csv-long": [
        "step,layer,expert,tokens",
        *(f"{step},{layer},{expert},{load}" for step, layer, row in FLAT for expert, load in enumerate(row)),
    ],
    "csv-wide": ["layer;expert_0;expert_1;expert_2", *(f"{layer};{a};{b};{c}" for _, layer, (a, b, c) in FLAT)],
}


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("name", TEXTS)
def test_text_formats(tmp_path: Path, name: str, end: str) -> None:
    log = log_of(written(tmp_path, end.join([*TEXTS[name], ""])))
    assert totals(log) == SUMS
    assert not log.skipped


def test_a_long_csv_may_count_from_one_and_leave_out_experts(tmp_path: Path) -> None:
    text = "step,layer,expert,count\n1,a,1,5\n1,a,2,6\n1,a,3,7\n2,a,1,5\n2,a,3,8\n2,a,x,8\n"
    log = log_of(written(tmp_path, text))
    assert totals(log) == {"a": [10, 6, 15]}
    assert [(one.line, one.reason) for one in log.skipped] == [(7, "'x' is not an expert's number")]


def test_arrays(tmp_path: Path) -> None:
    array = np.array(TABLE)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", **{"1": array[:, 0], "2": array[:, 1]})
    torch.save(torch.tensor(TABLE), tmp_path / "t.pt")
    torch.save(torch.tensor(TABLE), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save([[(n, torch.tensor(c)) for n, c in enumerate(r, 1)] for r in TABLE], tmp_path / "records.pt")
    for name in ("a.npy", "a.npz", "t.pt", "old.pt", "records.pt"):
        log = log_of(tmp_path / name)
        assert totals(log) == SUMS, name
        assert log.rows == 3


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("harm"),))


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"1": Harmful()}, tmp_path / "t.pt")
    np.save(tmp_path / "a.npy", np.array([Harmful()]), allow_pickle=True)
    for name in ("t.pt", "a.npy"):
        assert isinstance(read(str(tmp_path / name)), Problem)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (bytes(range(256)) * 10, "is binary"),
        (b"once upon a time\n", "is no routing log"),
        (b"\x1f\x8b\x08rest", "zcat"),
        (b"1,2\n3,4\n", "names the columns"),
        (b"[(1, tensor([nan]))]\n", "no loads in it; a load is nan"),
        (b"PK\x03\x04 and no archive", "cannot read it"),
        (b"\x93NUMPY\x01\x00", "cannot read it"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    found = read(str(written(tmp_path, content)))
    assert isinstance(found, Problem)
    assert message in found.message
    assert found.message.isprintable()


# -- verdicts ----------------------------------------------------------------------------------------------------------


def balance_of(table: list[list[int]]) -> Balance:
    log = RoutingLog("log")
    for number, row in enumerate(table, 1):
        log.take(number, [("1", row)])
    return balances(log)[0]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        ([5000, 5000, 5000, 5010], Verdict.BALANCED),
        ([5000, 4000, 5000, 5400], Verdict.MODERATE),
        ([5000, 2400, 5000, 5000], Verdict.HIGH),
        ([5000, 1000, 5000, 5000], Verdict.SEVERE),
        ([5000, 0, 5000, 5000], Verdict.SEVERE),
        ([5, 1, 3, 5], Verdict.BALANCED),
    ],
)
def test_verdicts(row: list[int], verdict: Verdict) -> None:
    assert judge(balance_of([row]), Thresholds()).verdict is verdict


def test_an_expert_that_dies_is_dead_whatever_it_had_before() -> None:
    table = [[1000, 1000, 1000]] * 30 + [[1500, 1500, 0]] * 10
    found = balance_of(table)
    assert found.dead == (2,)
    assert found.drift > 0.5
    texts = [one.text for one in advice([(found, judge(found, Thresholds()), None)])]
    assert "layer 1: 2" in texts[0]
    assert any("became worse" in text for text in texts)


def test_no_expert_is_dead_by_chance() -> None:
    assert balance_of([[1, 0, 1, 2]]).dead == ()


@pytest.mark.parametrize("text", ["cv>0.3", "cv > 30%", "max/min>=2, dead>0", "entropy<0.9"])
def test_conditions(text: str) -> None:
    found = conditions(text)
    assert not isinstance(found, str)
    assert len(found) == text.count(",") + 1


@pytest.mark.parametrize("text", ["", "cv", "cv=1", "cv>", "cw>x", "cv>1>2"])
def test_a_wrong_condition_lists_the_choices(text: str) -> None:
    found = conditions(text)
    assert isinstance(found, str)
    assert all(metric in found for metric in ("cv", "max_min", "gini", "dead", "entropy", "drift"))


def test_every_number_of_a_record_counts_once() -> None:
    """Two blocks of a log read as one: the cut lies wherever the size puts it."""
    text = TRAINING.read_bytes() + b"\n"
    whole = printed(text * 20)
    for size in (1, 97, 1000, 4429):
        assert totals(printed(text * 20, size)) == totals(whole)
    assert totals(printed(text))["1"][0] == 207529
