"""Problems: their solutions, and what they refuse."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from cases import coefficients, quadratic, t2
from torch import nn

from dsbo import DSOBA, CheckpointError, Dense, Problem, hypergrad, mixing, run
from dsbo.problems import Quadratic
from dsbo.schedules import Constant, Power, as_schedule
from dsbo.world import Draws
from dsbo_book.problems import hyper_cleaning
from dsbo_book.problems.cleaning import auc, trusting


def test_the_minimiser_has_the_digits_of_the_closed_form():
    problem = t2()
    found = problem.solution()
    constant = 0.5 * float((problem.upper.coefficients[4] ** 2).mean())  # of (y - t)²/2
    got = (float(found.x), float(found.y), float(found.z), found.value + constant)
    want = (0.3216374269, 1.3538011696, -0.1169590643, 1.1615497076)
    assert got == pytest.approx(want, abs=1e-10)
    assert float(problem.hypergradient(found.x)) == pytest.approx(0, abs=1e-12)
    own = problem.solution(shared=False)
    assert float(own.x) == pytest.approx(6 / 13, abs=1e-12)
    assert own.y.shape == (4, 1)
    assert float(problem.hypergradient(own.x, shared=False)) == pytest.approx(0, abs=1e-12)


def point(problem, x, shared=True):
    y, _ = problem.lower_solution(x, shared)
    rows = x.expand(problem.agents, -1), y.expand(problem.agents, -1)
    everyone = problem.everyone()
    return problem.f, problem.g, *rows, problem.upper.full(everyone), problem.lower.full(everyone)


def test_exact_and_conjugate_gradient_hypergradients_equal_the_closed_form():
    _, problem = quadratic()
    x = torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)
    want = problem.hypergradient(x)
    torch.testing.assert_close(hypergrad.exact(*point(problem, x)), want, rtol=0, atol=1e-12)
    got = hypergrad.cg(*point(problem, x), steps=problem.p)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-10)


def test_conjugate_gradients_need_no_more_steps_than_dimensions_when_ill_conditioned():
    c = coefficients(N=2, p=6, heterogeneity=0.0)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    c["A"][:] = basis @ np.diag(10.0 ** np.arange(-2, 4)) @ basis.T
    problem = Quadratic(**c)
    x = torch.ones(3, dtype=torch.float64)
    want = problem.hypergradient(x)
    with pytest.warns(UserWarning, match=r"stopped after 3 steps at a residual of .*more steps"):
        early = hypergrad.cg(*point(problem, x), steps=3)
    got = hypergrad.cg(*point(problem, x), steps=7, tol=1e-5)
    assert float((got - want).norm() / want.norm()) < 1e-6
    assert float((early - want).norm() / want.norm()) > 1e-3
    with pytest.raises(ValueError, match="met NaN or infinity"):
        hypergrad.cg(*point(problem, torch.full((3,), torch.nan, dtype=torch.float64)))


@pytest.mark.parametrize("solve", [hypergrad.exact, hypergrad.cg])
def test_a_lower_level_without_a_minimiser_is_refused(solve):
    _, problem = quadratic(N=1)
    *known, (P, Q, R, p, r, *noise) = point(problem, torch.ones(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="strongly convex in y: add a ridge"):
        solve(*known, (P, Q, -R, p, r, *noise))


def test_heterogeneity_scales_what_is_an_agents_own():
    equal, mild, severe = (coefficients(heterogeneity=h) for h in (0.0, 1.0, 2.0))
    for name in "QprBb":
        np.testing.assert_allclose(severe[name] - equal[name], 2 * (mild[name] - equal[name]))
        assert abs(mild[name] - equal[name]).min() > 0
    for name, least in {"P": 1.0, "R": 0.1, "A": 1.0}.items():
        assert (equal[name] == equal[name][:1]).all()
        assert np.linalg.eigvalsh(severe[name]).min() >= least
        assert np.linalg.cond(mild[name]).max() < 100
    other = coefficients(seed=1)
    assert not any(np.array_equal(other[name], mild[name]) for name in mild)


def test_a_changed_quadratic_is_still_one():
    _, problem = quadratic(noise=0.5)
    first, moved = problem.first_order(), problem.to("meta")
    for changed in (first, moved):
        assert type(changed) is Quadratic
        assert changed.coefficients()["P"].shape == (1, 3, 3)
    assert torch.equal(first.solution().x, problem.solution().x)
    assert first.settings["first_order"] == {"delta": None, "central": False}
    assert "first_order" not in problem.settings


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"P": np.zeros((5, 3, 2))}, r"P has shape \(5, 3, 2\), need \(5, 3, 3\)"),
        ({"b": np.zeros((4, 4))}, r"b has shape \(4, 4\), need \(5, 4\)"),
        ({"r": np.full((5, 4), np.nan)}, "r holds NaN"),
        ({"R": np.arange(80.0).reshape(5, 4, 4)}, "R must be symmetric"),
        ({"A": -np.tile(np.eye(4), (5, 1, 1))}, "eigenvalue -1"),
        ({"p": np.zeros(3)}, "one row an agent"),
        ({"noise": -1.0}, "noise must be at least 0, got -1"),
    ],
)
def test_coefficients_that_make_no_problem_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        Quadratic(**{**coefficients(), **change})


def test_noise_has_the_variance_it_says():
    _, problem = quadratic(noise=2.0)
    draws = Draws(0, problem.everyone(), problem.upper, problem.lower)
    e = torch.cat([torch.cat(draws.xi(t)[-2:], dim=1) for t in range(400)])
    assert float(e.std()) == pytest.approx(2.0, rel=0.05)


def ridge_losses():
    def upper(_, y, batch):
        a, c = batch
        return ((a @ y - c) ** 2).mean()

    def lower(x, y, batch):
        a, c = batch
        return ((a @ y - c) ** 2).mean() + (x.exp() * y**2).sum()

    return {"upper": upper, "lower": lower}


def shards(agents=3, m=8, k=2, seed=0):
    g = torch.Generator().manual_seed(seed)
    features = [torch.randn(m, k, generator=g) for _ in range(agents)]
    return [(a, a.sum(1) + 0.1 * torch.randn(m, generator=g)) for a in features]


def ridge_problem(**changes):
    data = {"upper_data": shards(), "lower_data": shards()}
    start = {"x0": torch.zeros(2), "y0": torch.zeros(2)}
    return Problem.from_losses(**{**ridge_losses(), **start, **data, **changes})


def test_losses_of_ones_own_are_solved():
    problem = ridge_problem(upper_data=shards(seed=1), lower_data=shards(seed=2))
    trace = run(DSOBA(alpha=1.0, beta=0.1, gamma=0.1), problem, Dense(mixing.average(3)), 900)
    assert trace["upper_loss"][-1] < trace["upper_loss"][0]
    x, y = trace.state.x[:1].expand(3, -1), trace.state.y[:1].expand(3, -1)
    everyone = problem.everyone()
    gradient = hypergrad.exact(
        problem.f, problem.g, x, y, problem.upper.full(everyone), problem.lower.full(everyone)
    )
    assert float(gradient.norm()) < 1e-3


def test_a_trace_records_the_numbers_one_asks_for():
    def size(problem, _, y, shared):
        return {"size": float(problem.unpack(y=y.mean(0)).norm()), "shared": float(shared)}

    problem = ridge_problem(y0=torch.ones(2), metrics=size)
    trace = run(DSOBA(0.1, 0.1, 0.1), problem, Dense(mixing.average(3)), 2)
    assert trace["size"][0] == pytest.approx(2**0.5)
    assert trace["size"][-1] == pytest.approx(float(trace.state.y.mean(0).norm()))
    assert trace["shared"][0] == 1.0
    assert "upper_loss" in trace.rows[0]
    with pytest.raises(TypeError, match="does not know its lower solution"):
        problem.hypergradient(problem.x0)


def test_a_module_a_dict_and_a_sequence_are_the_same_problem():
    torch.manual_seed(0)
    net = nn.Linear(2, 1)

    def lower_of(call):
        return lambda x, y, b: ((call(y, b[0])[:, 0] - b[1]) ** 2).mean() * x.exp().sum()

    forms = {
        "module": (net, lambda y, a: torch.func.functional_call(net, y, a)),
        "dict": (dict(net.named_parameters()), lambda y, a: a @ y["weight"].T + y["bias"]),
        "sequence": (net.parameters(), lambda y, a: a @ y[0].T + y[1]),
    }
    finals = []
    for y0, call in forms.values():
        lower = lower_of(call)
        losses = {"upper": lower, "lower": lower}
        problem = ridge_problem(**losses, x0=torch.zeros(1), y0=y0, batch=4, ridge=0.1)
        trace = run(DSOBA(alpha=0.1, beta=0.1, gamma=0.1), problem, Dense(mixing.average(3)), 5)
        finals.append(trace.state.y)
    assert torch.equal(finals[0], finals[1])
    torch.testing.assert_close(finals[0], finals[2])
    assert set(problem.unpack(y=finals[0][0])[0].shape) == {1, 2}


class Ragged(torch.utils.data.Dataset):
    def __len__(self):
        return 3

    def __getitem__(self, i):
        return torch.zeros(i + 1)


class Failing(Ragged):
    def __getitem__(self, i):
        raise NotImplementedError("mine")


class Pair(NamedTuple):
    a: torch.Tensor
    c: torch.Tensor


def test_shards_keep_their_form():
    def of_pair(x, y, b):
        return ((b.a @ y - b.c) ** 2).mean() + (x.exp() * y**2).sum()

    def of_keys(x, y, b):
        return ((b[0] @ y - b[1]) ** 2).mean() + (x.exp() * y**2).sum()

    pairs = [Pair(*shard) for shard in shards()]
    numbered = [{0: a, 1: c} for a, c in shards()]
    swapped = [tuple(part.numpy().astype(">f4") for part in shard) for shard in shards()]
    made = [
        ridge_problem(upper=of_pair, lower=of_pair, upper_data=pairs, lower_data=pairs),
        ridge_problem(upper=of_keys, lower=of_keys, upper_data=numbered, lower_data=numbered),
        ridge_problem(upper=of_keys, lower=of_keys, upper_data=swapped, lower_data=swapped),
        ridge_problem(upper=of_keys, lower=of_keys),
    ]
    states = [run(DSOBA(0.1, 0.1, 0.1), p, Dense(mixing.average(3)), 5).state for p in made]
    assert all(torch.equal(state.y, states[-1].y) for state in states)
    with pytest.raises(NotImplementedError, match="mine"):
        ridge_problem(lower_data=[Failing()] * 3)


BAD = [
    (torch.zeros(3, 4), TypeError, "one entry an agent"),
    (
        [*shards(2), (torch.zeros(8, 3), torch.zeros(8))],
        ValueError,
        r"\[2\] are torch.float32 \[3\]",
    ),
    ([*shards(2), (torch.zeros(8, 2), torch.zeros(8).long())], ValueError, "int64"),
    ([*shards(2), (torch.full((8, 2), math.nan), torch.zeros(8))], ValueError, "16 NaN"),
    ([(torch.zeros(8, 2), torch.zeros(7))], ValueError, r"have \[8, 7\] rows"),
    ([(torch.zeros(0, 2), torch.zeros(0))], ValueError, "has no rows"),
    ([(np.array(["a"]), np.zeros(8))], TypeError, "holds a ndarray"),
    ([(np.zeros((8, 2), np.longdouble), np.zeros(8))], TypeError, "holds a ndarray"),
    ([(), ()], ValueError, "holds no tensors"),
    ([{}, {}], ValueError, "holds no tensors"),
    ([Ragged()] * 3, TypeError, r"lower_data\[0\] cannot be stacked: .*the same shape and kind"),
    ([(torch.zeros(8, 2, device="meta"), torch.zeros(8))], TypeError, "holds no numbers"),
    ([(torch.eye(8).to_sparse(), torch.zeros(8))], TypeError, "convert it by .to_dense()"),
    (shards(2), ValueError, "upper_data has 3 agents, lower_data 2"),
]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        *(({"lower_data": data}, error, says) for data, error, says in BAD),
        ({"batch": 0}, ValueError, "batch, .* must be at least 1"),
        ({"batch": -3}, ValueError, "got -3"),
        ({"batch": 2.0}, TypeError, "batch, .* must be a whole number, got 2.0"),
        ({"batch": (4, 0)}, ValueError, "batch, .* must be at least 1, got 0"),
        ({"batch": ("all", 4)}, TypeError, "batch, .* must be a whole number, got 'all'"),
        ({"batch": (4, 4, 4)}, ValueError, r"a pair .*\(upper, lower\), got \(4, 4, 4\)"),
        ({"batch": {"upper": 4}}, TypeError, "must be a whole number, got {'upper': 4}"),
        ({"x0": torch.zeros(2).double()}, ValueError, "float64 but y0 is"),
        ({"x0": torch.zeros(2).long()}, TypeError, "floating-point tensors, got torch.int64"),
        ({"x0": torch.zeros(2, device="meta")}, TypeError, "x0 is on the device meta"),
        ({"x0": 3.0}, TypeError, "x0 must be made of floating-point tensors, got float"),
        ({"y0": []}, ValueError, "y0 is empty"),
        ({"y0": torch.tensor([1.0, math.inf])}, ValueError, "y0 holds NaN or infinity"),
        ({"y0": [torch.zeros(1), torch.zeros(1).double()]}, ValueError, "y0 mixes"),
        ({"upper": lambda _x, y, _b: y}, ValueError, r"must return a real scalar.*shape \(2,\)"),
        (
            {"lower": lambda _x, y, _b: y.sum() / 0 * 0},
            ValueError,
            "lower loss of agent 0 starts at nan",
        ),
    ],
)
def test_bad_data_starts_batches_and_losses_are_refused(change, error, says):
    with pytest.raises(error, match=says):
        ridge_problem(**change)


def test_a_batch_may_differ_between_the_levels():
    problem = ridge_problem(batch=(3, None))
    draws = Draws(0, problem.everyone(), problem.upper, problem.lower)
    assert [len(draws.xi(0)[1][0]), len(draws.zeta(0)[1][0])] == [3, 8]
    assert problem.settings["batch"] == [3, None]
    other = ridge_problem(batch=[None, 5])
    draws = Draws(0, other.everyone(), other.upper, other.lower)
    assert [len(draws.xi(0)[1][0]), len(draws.zeta(0)[1][0])] == [8, 5]


@pytest.mark.parametrize("batch", [None, 4])
def test_one_batch_for_both_levels_is_told_as_one_number(batch):
    one, pair = ridge_problem(batch=batch), ridge_problem(batch=(batch, batch))
    assert one.settings == pair.settings
    assert one.settings["batch"] == batch
    states = [run(DSOBA(0.1, 0.1, 0.1), p, Dense(mixing.average(3)), 5).state for p in (one, pair)]
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def small_cleaning(**kwargs):
    g = torch.Generator().manual_seed(0)
    N, m, k, classes = 3, 12, 5, 4
    true = torch.randint(classes, (N, m), generator=g)
    wrong = torch.rand(N, m, generator=g) < 0.3
    return hyper_cleaning(
        train=(torch.rand(N, m, k, generator=g), (true + wrong) % classes),
        clean=(torch.rand(N, 6, k, generator=g), torch.randint(classes, (N, 6), generator=g)),
        test=(torch.rand(20, k, generator=g), torch.randint(classes, (20,), generator=g)),
        true=true,
        classes=classes,
        **{"hidden": 6, "batch": 4} | kwargs,
    )


def test_only_the_samples_of_the_batch_have_a_weight_gradient():
    problem = small_cleaning()
    batch = Draws(0, problem.everyone(), problem.upper, problem.lower).zeta(0)
    x, y = problem.x0.expand(3, -1), problem.y0.expand(3, -1)
    _, _, jv, _ = problem.g.grad_hess(x, y, batch, torch.ones_like(y))
    for i in range(3):
        drawn = set(batch[2][i].tolist())
        assert set(jv[i].nonzero()[:, 0].tolist()) <= drawn
        assert drawn <= set(range(12 * i, 12 * i + 12))


def test_cleaning_equals_its_formula():
    problem = small_cleaning(ridge=0.01)
    agents = problem.everyone()
    x = torch.linspace(-1, 1, problem.d).expand(3, -1)
    y = problem.y0.expand(3, -1)
    batch = problem.lower.full(agents)
    got = problem.g.value(x, y, batch)
    net = problem.unpack(y=problem.y0)
    for i in range(3):
        a, c, e = (part[i] for part in batch)
        logits = torch.relu(a @ net["W1"] + net["b1"]) @ net["W2"] + net["b2"]
        losses = -logits.log_softmax(1)[torch.arange(12), c]
        want = (torch.sigmoid(x[i, e]) * losses).mean() + 0.01 * problem.y0.square().sum()
        assert float(got[i]) == pytest.approx(float(want), rel=1e-5)


def test_the_corrupted_labels_are_seen_by_the_metrics_alone():
    problem = small_cleaning()
    assert auc(problem, problem.x0) == 0.5
    bad = problem.unseen["corrupted"].reshape(-1).float()
    assert auc(problem, -bad) == 1.0
    assert auc(problem, bad) == 0.0
    whole = trusting(problem, clean=1.0, corrupted=-1.0)
    assert auc(problem, whole.x0) == 1.0
    assert whole.settings["x0"] == [1.0, -1.0]


def test_what_only_metrics_read_moves_with_the_problem_and_a_ridge_is_positive():
    moved = small_cleaning().to("meta")
    assert {part.device.type for part in (*moved.unseen["test"], moved.unseen["true"])} == {"meta"}
    assert {part.device.type for part in (moved.x0, moved.y0, *moved.lower.data)} == {"meta"}
    with pytest.raises(ValueError, match="ridge must be"):
        small_cleaning(ridge=-1.0)


def test_schedules():
    assert as_schedule(0.5) == Constant(0.5)
    power = Power(2.0, shift=4.0)
    assert as_schedule(power) is power
    assert power(0) == 1.0
    assert power(12) == 0.5
    with pytest.raises(ValueError, match="take a larger shift"):
        Power(1.0, shift=0.0)


def looking_elsewhere(how):
    """Losses that mistake what they are called with, each in its own way."""
    module = nn.Linear(2, 1)

    def fit(y, a):
        return (
            {
                "the module": lambda: module(a),
                "detached": lambda: a @ y.detach(),
                "a number": lambda: a.sum(),
            }[how]()
            .square()
            .mean()
        )

    return fit


@pytest.mark.parametrize("how", ["the module", "detached", "a number"])
def test_a_loss_that_does_not_depend_on_its_variable_is_refused(how):
    fit, data = looking_elsewhere(how), [torch.randn(3, 2)] * 2
    right = {"x0": torch.zeros(2), "y0": torch.zeros(2), "upper_data": data, "lower_data": data}

    def good(x, y, a):
        return (a @ (x + y)).square().mean()

    with pytest.raises(ValueError, match=r"lower loss does not depend on y; .*functional_call"):
        Problem.from_losses(good, lambda x, y, a: fit(y, a) + x.sum(), **right)
    with pytest.raises(ValueError, match="upper loss depends on neither x nor y"):
        Problem.from_losses(lambda _, y, a: fit(y, a), good, **right)


def test_frozen_parameters_are_not_variables():
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    module[0].requires_grad_(False)
    before = module[0].weight.clone()

    def lower(x, y, batch):
        out = torch.func.functional_call(module, y, batch)
        return out.square().mean() + x.exp().sum() * sum(p.square().sum() for p in y.values())

    data = [torch.randn(6, 3) for _ in range(2)]
    problem = Problem.from_losses(lower, lower, torch.zeros(1), module, data, data)
    assert problem.p == 5
    state = run(DSOBA(0.1, 0.1, 0.1), problem, Dense(mixing.average(2)), steps=3).state
    assert torch.equal(module[0].weight, before)
    assert not state.y.requires_grad
    with pytest.raises(ValueError, match="y0 is empty"):
        Problem.from_losses(lower, lower, torch.zeros(1), module[0], data, data)


@pytest.mark.parametrize("kind", ["attention", "encoder", "a backbone that trains elsewhere"])
def test_layers_of_today_run_and_their_state_carries_no_graph(kind):
    g = torch.Generator().manual_seed(0)
    data = [torch.randn(6, 5, 8, generator=g) for _ in range(2)]
    encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    backbone = nn.Linear(8, 8)
    y0 = {name: torch.randn(8, 8, generator=g) / 3 for name in "qkv"}

    def out(y, a):
        if kind == "encoder":
            return torch.func.functional_call(encoder, y, (a,))
        q, k, v = (a @ y[name] for name in "qkv")
        if kind == "attention":
            return nn.functional.scaled_dot_product_attention(q, k, v)
        return backbone(q + k + v)

    def lower(x, y, a):
        ridge = x.exp().sum() * sum(part.square().sum() for part in y.values())
        return out(y, a).square().mean() + 1e-2 * ridge

    start = encoder if kind == "encoder" else y0
    problem = Problem.from_losses(lower, lower, torch.zeros(1), start, data, data, batch=3)
    state = run(DSOBA(0.01, 0.01, 0.01), problem, Dense(mixing.average(2)), steps=3).state
    assert all(part.isfinite().all() and part.grad_fn is None for part in state)
    assert state.y.numpy().shape == (2, problem.p)


class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.full((2,), float(i)), i % 2


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield ROWS[0][0]


ROWS = torch.arange(12.0).view(6, 2), torch.arange(6)
FORMS = {
    "tensor": ROWS[0],
    "array": ROWS[0].numpy(),
    "tuple": ROWS,
    "arrays": tuple(part.numpy() for part in ROWS),
    "list": list(ROWS),
    "dict": dict(zip("ac", ROWS, strict=True)),
    "TensorDataset": torch.utils.data.TensorDataset(*ROWS),
    "Dataset": Rows(),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_may_come_as_people_have_them(form):
    shard, seen = FORMS[form], []

    def lower(x, y, batch):
        seen.append(batch)
        a = batch["a"] if form == "dict" else batch if form in ("tensor", "array") else batch[0]
        return (a @ (y - x)).square().mean() + y.square().sum()

    start = torch.zeros(2)
    problem = Problem.from_losses(lower, lower, start, start, [shard] * 2, [shard] * 2, batch=3)
    run(DSOBA(1e-3, 1e-3, 1e-3), problem, Dense(mixing.average(2)), steps=2)
    kind = dict if form == "dict" else torch.Tensor if form in ("tensor", "array") else tuple
    assert isinstance(seen[0], kind)


@pytest.mark.parametrize(
    ("shard", "says"),
    [
        (torch.utils.data.DataLoader(Rows()), r"loader\.dataset, and batch="),
        ("text", "is a str; give a tensor"),
        (3, "is a int; give a tensor"),
        ([[1.0, 2.0]], "holds a list; convert it to a tensor"),
        (np.array(["a"]), "holds a ndarray; convert it to a tensor"),
        (Stream(), "without a length"),
    ],
)
def test_other_data_are_refused_with_the_conversion(shard, says):
    loss, start = (lambda x, y, _: (x + y).sum()), torch.zeros(1)
    with pytest.raises(TypeError, match=says):
        Problem.from_losses(loss, loss, start, start, [shard] * 2, [shard] * 2)


def test_a_run_is_not_resumed_with_another_loss(tmp_path):
    data, start = [torch.randn(3, 2)] * 2, torch.zeros(2)

    def losses(power, **name):
        def lower(x, y, a):
            return (a @ (y - x)).abs().pow(power).mean() + y.square().sum()

        return Problem.from_losses(lower, lower, start, start, data, data, **name)

    def go(problem, steps):
        kept = {"checkpoint": tmp_path, "every": 2, "resume": True}
        return run(DSOBA(0.1, 0.1, 0.1), problem, Dense(mixing.average(2)), steps, **kept)

    go(losses(2.0), 4)
    go(losses(2.0), 6)
    with pytest.raises(CheckpointError, match=r"problem was .*\(2\.0\).*is .*\(3\.0\)"):
        go(losses(3.0), 8)
    assert losses(2.0, name="mine").settings["losses"] == "mine"
