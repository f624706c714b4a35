import html
import json
import time
from functools import partial
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp
import torch
from IPython import get_ipython
from IPython.core.formatters import DisplayFormatter

from dsbo_book import perturbed
from dsbo_book.claims import Claim, ClaimError, claim, refuted
from dsbo_book.prose import glue

x, y = sp.symbols("x y")


@pytest.fixture(autouse=True)
def book(tmp_path, monkeypatch):
    """The file of claims, fresh for each test."""
    path = tmp_path / "claims.jsonl"
    monkeypatch.setenv("DSBO_CLAIMS", str(path))
    monkeypatch.delenv("DSBO_PAGE", raising=False)
    return path


def records(path):
    return [json.loads(line) for line in path.read_text(encoding="utf8").splitlines()]


def told(text, error=None, tol=None, ok=True):
    return [{"text": text, "kind": "claim", "error": error, "tol": tol, "ok": ok}]


def shortly(path):
    """The records without how they were checked and shown."""
    return [{k: r[k] for k in ("text", "kind", "error", "tol", "ok")} for r in records(path)]


HOLDS = [
    (torch.tensor([1.0, 2.0]), np.array([1.0, 2.0]), 1e-6),
    (torch.tensor([1.0], dtype=torch.bfloat16, requires_grad=True), 1, 1e-6),
    (np.zeros((3, 3)), 0.0, 1e-12),
    (1 + 1j, 1 + 1.0000001j, 1e-3),
    (np.float32(0.5), sp.Rational(1, 2), 1e-8),
    (sp.Matrix([[sp.sqrt(2), 1]]), np.array([[2**0.5, 1.0]]), 1e-14),
    (3, 3.0, 1e-9),
]


@pytest.mark.parametrize(("got", "want", "tol"), HOLDS)
def test_a_float_claim_holds_within_its_tolerance(got, want, tol, book):
    result = claim("equal", got, want, tol=tol)
    assert result.ok
    assert result.error < tol
    assert shortly(book) == told("equal", result.error, tol)


def test_a_failing_claim_raises_and_is_recorded(book):
    with pytest.raises(
        ClaimError, match=r"failed: a wrong one .*\|error\| 0.5 ≥ 0.1; got 1.5, want 1"
    ):
        claim("a wrong one", got=1.5, want=1.0, tol=0.1)
    assert shortly(book) == told("a wrong one", 0.5, 0.1, False)
    assert issubclass(ClaimError, AssertionError)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), np.array([1.0, np.nan])])
@pytest.mark.parametrize("state", [partial(claim, tol=0.1), partial(refuted, margin=0.1)])
def test_what_is_not_finite_neither_holds_nor_refutes(state, bad, book):
    with pytest.raises(ClaimError, match="not finite"):
        state("not a number", bad, np.ones_like(bad))
    assert records(book)[0]["ok"] is False
    assert records(book)[0]["error"] is None


NO_TOLERANCES = (0, -1e-8, float("nan"), float("inf"))
PLAIN = (1.0, 2.0)
SHAPES = ((np.ones(3), np.ones(2)), (1.0, np.ones(1)), (np.ones((2, 2)), np.ones(2)))
TINY = ([0.9e-3, 0.0], np.array([1e-3, 0.0]))
REFUSED = [
    *((claim, PLAIN, {"tol": t}, "tol = .* is not a positive number") for t in NO_TOLERANCES),
    *((refuted, PLAIN, {"margin": t}, "margin = .* is not a posit") for t in NO_TOLERANCES),
    (claim, PLAIN, {}, "floats are equal up to a tol; give one: claim"),
    (refuted, PLAIN, {}, "give one: refuted"),
    *((claim, TINY, {"tol": tol}, "as large as want itself") for tol in (1e-3, 1.0)),
    *((claim, pair, {"tol": 0.1}, "got has shape .*; compare like with like") for pair in SHAPES),
    *((refuted, pair, {"margin": 0.1}, "got has shape .*; compare") for pair in SHAPES),
    (claim, (sp.Matrix([x, y]), sp.Matrix([[x, y]])), {}, "got has shape"),
    (claim, (np.ones(0), np.ones(0)), {"tol": 0.1}, "nothing to compare"),
    (claim, ("a", "b"), {"tol": 0.1}, "cannot compare"),
    (claim, (True, True), {"tol": 0.1}, "neither tol nor margin"),
    (claim, (4,), {}, "give want"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_claimed_is_refused_and_not_recorded(case, book):
    state, given, how, message = case
    with pytest.raises(ValueError, match=message):
        state("a claim", *given, **how)
    assert not book.exists()


SYMBOLIC = [
    ((x + y) ** 2, x**2 + 2 * x * y + y**2),
    (sp.sin(x) ** 2 + sp.cos(x) ** 2, 1),
    (sp.Matrix([[x, 1], [0, x]]) ** 2, sp.Matrix([[x**2, 2 * x], [0, x**2]])),
    (sp.Matrix([x - x, 0]), 0),
    (sp.sqrt(3 + 2 * sp.sqrt(2)), 1 + sp.sqrt(2)),
]


@pytest.mark.parametrize(("got", "want"), SYMBOLIC)
def test_a_symbolic_claim_holds_if_the_difference_simplifies_to_zero(got, want, book):
    assert claim("identity", got, want).ok
    assert shortly(book) == told("identity")
    with pytest.raises(ClaimError, match="does not clearly differ"):
        refuted("identity", got, want)


def test_a_symbolic_claim_fails_if_the_difference_does_not_vanish():
    with pytest.raises(ClaimError, match=r"got x\*\*2 differs from want x\*\*2 \+ 1"):
        claim("off by one", x**2, x**2 + 1)
    assert refuted("off by one", x**2, x**2 + 1).ok
    assert refuted("dropped sign", sp.Matrix([x, y]), sp.Matrix([x, -y])).ok


def test_truth_values_are_claimed_as_they_are(book):
    assert claim("yes", 1 < 2).ok
    assert claim("numpy yes", np.bool_(True)).ok
    assert claim("torch yes", torch.tensor(True)).ok
    assert claim("sympy yes", sp.Integer(1) < 2).ok
    assert claim("no", 1 > 2, want=False).ok
    assert refuted("no", 1 > 2).ok
    with pytest.raises(ClaimError):
        claim("no", 1 > 2)
    assert [r["ok"] for r in records(book)] == [True] * 6 + [False]


def test_integers_are_equal_or_not():
    assert claim("count", 4, 2 + 2).ok
    assert claim("counts", np.array([1, 2]), torch.tensor([1, 2])).ok
    assert refuted("count", 4, 5).ok
    with pytest.raises(ClaimError):
        claim("count", 4, 5)


def test_a_refutation_needs_its_margin():
    assert refuted("far", 1.0, 2.0, margin=0.5).ok
    assert refuted("just", 1.5, 1.0, margin=0.5).ok
    with pytest.raises(ClaimError, match=r"failed: near .* false: \|error\| 0.25 < 0.5"):
        refuted("near", 1.25, 1.0, margin=0.5)


def test_a_claim_is_shown_as_one_line():
    result = claim("implicit = finite differences", 1 + 3.1e-10, 1.0, tol=1e-8)
    assert repr(result).startswith("✓ implicit = finite differences   ")
    assert repr(result).endswith("|error| 3.1e-10 < 1e-08")
    assert "\n" not in repr(result)


BOXES = [
    (Claim("a < b", "claim", "numerical", 0.5, 1.0, True), "✓ numerical, |error| 0.5 &lt; 1"),
    (Claim("a", "claim", "proved", None, None, True, "a = b"), "✓ proved"),
    (Claim("a", "claim", "checked", None, None, True), "✓ checked"),
    (Claim("a", "refuted", "checked", None, None, True), "✗ false, as it should be"),
    (Claim("a", "refuted", "numerical", 2.0, 1.0, True), "✗ false: |error| 2 ≥ 1"),
    (Claim("a", "claim", "numerical", 2.0, 1.0, False), "failed: numerical, |error| 2 ≥ 1"),
    (Claim("a", "claim", "proved", None, None, False), "failed: not shown"),
    (Claim("a", "refuted", "checked", None, None, False), "failed: not shown"),
]


@pytest.mark.parametrize(("stated", "badge"), BOXES)
def test_a_box_has_a_number_the_statement_a_badge_and_the_formula(stated, badge):
    shown = stated._repr_html_()
    assert f'<span class="badge">{badge}</span>' in shown
    assert 'id="claim-0"' in shown
    assert ("math" in shown) == bool(stated.latex)
    assert html.escape(stated.text) in shown


def test_a_symbolic_claim_shows_both_sides():
    assert claim("a square", (x + 1) ** 2, x**2 + 2 * x + 1).latex == (
        r"\left(x + 1\right)^{2} = x^{2} + 2 x + 1"
    )
    assert refuted("a square", (x + 1) ** 2, x**2).latex == r"\left(x + 1\right)^{2} \neq x^{2}"
    assert claim("nothing is left", x - x, 0).latex == ""
    long = sum(sp.Symbol(f"a{i}") ** i for i in range(1, 12))
    assert claim("on two lines", long, sum(long.args)).latex.startswith("a_{1}")
    assert claim("on two lines", long + (x + 1) ** 2, long + x**2 + 2 * x + 1).latex.count("&") == 2
    longer = sum(sp.Symbol(f"a{i}") ** i for i in range(1, 60))
    assert claim("too long", longer, longer).latex == ""
    ones = r"\left[\begin{matrix}1\\1\end{matrix}\right]"
    assert claim("every entry", sp.Matrix([x, x]) / x, 1).latex == ones
    assert refuted("of one name", x, sp.Symbol("x", real=True)).latex == ""


def test_matrices_of_any_size_are_proved_and_refuted_by_numbers():
    n = sp.Symbol("n", integer=True, positive=True)
    A, v = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("v", n, 1)
    assert claim("solved", A * (A.I * v), v).how == "proved"
    assert claim("expanded", A * (v + v) - 2 * A * v, 0).ok
    assert refuted("twice", A * v, 2 * A * v).ok
    assert refuted("something is left", A * v - A.T * v, 0).ok
    with pytest.raises(ClaimError):
        claim("not symmetric", A, A.T)
    with pytest.raises(ClaimError):
        refuted("the same", A * (A.I * v), v)
    with pytest.raises(ValueError, match="got has shape"):
        claim("no matrix", A * v, 1)


n, p = sp.symbols("n p", integer=True, positive=True)
A, X = sp.MatrixSymbol("A", n, n), sp.MatrixSymbol("X", n, p)
M, K = sp.MatrixSymbol("M", n + 1, 2 * n + 2), sp.MatrixSymbol("K", n + 1, 2 * (n + 1))
D = sp.MatrixSymbol("D", 2, 2)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (sp.Identity(n), 0),
        (n * sp.Identity(n), 2 * sp.Identity(n)),
        (X * (X.T * X).I * X.T, sp.Identity(n)),
        (M, K),
        (D, sp.Matrix(2, 2, [x, 0, 0, x])),
        (A[0, 1], A[1, 0]),
        (sp.Trace(A * A), sp.Trace(A) ** 2),
        (sp.Determinant(A + A.T), 2 * sp.Determinant(A)),
    ],
)
def test_a_false_statement_about_matrices_is_refuted_and_not_proved(got, want):
    assert refuted("other matrices", got, want).ok
    with pytest.raises(ClaimError):
        claim("the same matrices", got, want)


@pytest.mark.parametrize(
    ("got", "want", "said"),
    [
        (sp.ZeroMatrix(n, p), sp.ZeroMatrix(p, n), "got has shape"),
        (sp.Identity(n), sp.Identity(p), "got has shape"),
        (sp.Matrix([1, 2]), [1, 2], "got has shape"),
        (sp.zeros(0, 2), sp.zeros(0, 2), "nothing to compare"),
        (sp.ZeroMatrix(0, 0), 0, "nothing to compare"),
        (A - A, False, "is not compared with want False"),
        (x, True, "is not compared with want True"),
        (x / 3, x * (1 / 3), "floats are equal up to a bound"),
        (sp.Matrix([0.1]), sp.Matrix([0.1]), "floats are equal up to a bound"),
        (A / 4, 0.25 * A, "floats are equal up to a bound"),
        (sp.Eq(x, y, evaluate=False), True, "is not compared with want True"),
    ],
)
@pytest.mark.parametrize("state", [claim, refuted])
def test_symbolic_sides_that_do_not_go_together_are_faulty(state, got, want, said):
    with pytest.raises(ValueError, match=said):
        state("faulty", got, want)


def test_symbols_have_no_tolerance_but_matrices_of_numbers_may():
    for side in (x, A, D, sp.Matrix([x])):
        with pytest.raises(ValueError, match="need neither"):
            claim("close", side, 1, tol=0.1)
    assert claim("close", sp.Identity(2), np.eye(2), tol=1e-9).how == "numerical"
    assert claim("the same", sp.Identity(2), np.eye(2, dtype=int)).how == "proved"


def test_an_error_beyond_all_floats_is_recorded(book):
    assert refuted("far apart", 1e308, -1e308, margin=1.0).error == np.finfo(float).max
    assert len(records(book)) == 1


def test_a_notebook_shows_a_claim_wherever_it_stands_and_a_handmade_one_at_the_end(monkeypatch):
    published = []
    monkeypatch.setattr("IPython.get_ipython", lambda: "a shell")
    monkeypatch.setattr("IPython.display.display", lambda box, **_: published.append(box))
    stated = claim("1 < 2", True)
    assert published == [{"text/plain": repr(stated), "text/html": stated._repr_html_()}]
    stated._ipython_display_()
    assert len(published) == 1
    Claim("by hand", "claim", "checked", None, None, True)._ipython_display_()
    assert len(published) == 2


def test_claims_are_numbered_in_their_order_and_shown_once(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr(Claim, "show", lambda self: shown.append(self.number))
    first, second = claim("one", True), refuted("two", False)
    assert second.number == first.number + 1
    assert shown == [first.number, second.number]
    assert first._ipython_display_() is None
    assert capsys.readouterr().out == ""


def test_the_page_is_recorded_and_nothing_without_a_file(book, monkeypatch):
    monkeypatch.setenv("DSBO_PAGE", "mixing")
    claim("yes", True)
    monkeypatch.delenv("DSBO_CLAIMS")
    claim("yes", True)
    (told,) = records(book)
    assert told["page"] == "mixing"


def test_a_failing_claim_is_recorded_with_its_section_where_all_are_to_be_seen(book, monkeypatch):
    monkeypatch.setenv("DSBO_CLAIMS_GO_ON", "1")
    monkeypatch.setenv("DSBO_SECTION", "Check")
    assert not claim("a wrong one", 1.5, 1.0, tol=0.1).ok
    assert not refuted("a right one", 1, 1).ok
    assert [(r["section"], r["ok"]) for r in records(book)] == [("Check", False)] * 2


ZERO = {"sign": "unchanged", "factor 1.5": "unchanged"}
SIDES = [
    (2.0, 2.0, 0.5, {"sign": "caught", "factor 1.5": "caught", "one index": "caught"}),
    (2.0, 2.0, 1.1, {"sign": "caught", "factor 1.5": "survives", "one index": "caught"}),
    (np.zeros(3), 0, 0.1, ZERO | {"one index": "caught"}),
    (np.zeros(3), 0, 5.0, ZERO | {"one index": "survives"}),
    (np.uint8(5), 5, None, {"sign": "caught", "plus one": "caught", "one index": "caught"}),
    (np.eye(2), np.eye(2), 0.1, {"transposed": "unchanged", "one index": "caught"}),
    (np.tri(2), np.tri(2), 0.1, {"transposed": "caught", "one index": "caught"}),
    (torch.ones(3, 2, 2), torch.ones(3, 2, 2), 0.1, {"transposed": "unchanged"}),
    (1 < 2, True, None, {"truth": "caught"}),
    ((x + y) ** 2, x**2 + 2 * x * y + y**2, None, {"sign": "caught", "one index": "caught"}),
    (x - x, 0, None, ZERO | {"one index": "caught"}),
    (sp.Matrix([[x, 1], [0, x]]), sp.Matrix([[x, 1], [0, x]]), None, {"transposed": "caught"}),
    (sp.Matrix([x, y]), sp.Matrix([x, y]), None, {"one index": "caught"}),
    (sp.MatrixSymbol("A", 2, 2), sp.MatrixSymbol("A", 2, 2), None, {"one index": "caught"}),
    (sp.ZeroMatrix(2, 2), 0, None, ZERO | {"one index": "caught"}),
    (sp.Matrix([[1, 2], [0, 1]]), np.array([[1, 2], [0, 1]]), None, {"transposed": "caught"}),
    (sp.Identity(2), sp.eye(2), None, {"transposed": "unchanged", "one index": "caught"}),
    (sp.Matrix([0, 0]), 0, None, {"sign": "unchanged", "one index": "caught"}),
    (sp.Function("g")(x) * 2, sp.Function("g")(x) * 2, None, {"factor 1.5": "caught"}),
]  # fmt: skip


@pytest.mark.parametrize(("got", "want", "tol", "found"), SIDES)
def test_a_wrong_right_side_is_caught_or_reported(got, want, tol, found, tmp_path, monkeypatch):
    path = tmp_path / "perturbed.jsonl"
    monkeypatch.setenv("DSBO_PERTURBED", str(path))
    claim("two sides", got, want, tol)
    (told,) = records(path)
    assert told["text"] == "two sides"
    assert told["perturbed"].items() >= found.items()


def test_a_right_side_that_takes_too_long_to_decide_is_undecided(monkeypatch):
    monkeypatch.setattr(perturbed, "SECONDS", 0.05)
    found = perturbed.outcomes(np.ones(1), lambda _: time.sleep(5) is None)
    assert set(found.values()) == {"undecided"}


def test_claims_made_side_by_side_keep_their_lines(book):
    with ThreadPool(8) as pool:
        pool.map(lambda i: claim(f"number {i}" + "…" * 500, i, i), range(200))
    assert len(records(book)) == 200


def test_a_glued_value_is_found_by_the_books_build_and_shown_by_no_cell(monkeypatch):
    published = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: published.append((a, k)))
    glue("third", 1 / 3)
    assert (published, get_ipython()) == ([], None), "it must not start a shell, which shows claims"
    shell = SimpleNamespace(display_formatter=DisplayFormatter())
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    glue("third", 1 / 3)
    (((output,), told),) = published
    assert told["metadata"]["scrapbook"]["name"] == "third"
    prefix = told["metadata"]["scrapbook"]["mime_prefix"]
    assert output == {f"{prefix}text/plain": repr(1 / 3)}
    assert prefix.startswith("application/papermill.record/")
    published.clear()
    for value, shown in ((np.float64(0.4), "0.4"), (np.int64(3), "3"), (np.bool_(True), "True")):
        glue("numpy", value)
        assert list(published.pop()[0][0].values()) == [shown]


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint64, np.float16])
def test_small_types_do_not_wrap_around(kind):
    got, want = np.array([5], kind), np.array([100], kind)
    with pytest.raises(ClaimError, match="95"):
        claim("five is a hundred", got, want, tol=20)
