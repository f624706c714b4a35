"""Losses as users write them: they work, or it is told at once what to write instead."""

import pytest
import torch
from cases import lazy_ring
from torch import nn
from torch.func import functional_call, grad
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.checkpoint import checkpoint

from dsbo import DSOBA, Dense, Problem, run

N, ROWS = 3, 4
STEPS = DSOBA(alpha=0.01, beta=0.01, gamma=0.01)


class Squared(torch.autograd.Function):
    """The old way to write a function with a derivative of one's own."""

    @staticmethod
    def forward(ctx, a):
        ctx.save_for_backward(a)
        return a * a

    @staticmethod
    def backward(ctx, upstream):
        return 2 * ctx.saved_tensors[0] * upstream


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.inner, self.last = kind(5, 4), nn.Linear(4, 1)

    def forward(self, a):
        whole = isinstance(self.inner, nn.RNNBase)
        return self.last(self.inner(a[None])[0][0] if whole else self.inner(a))


class LSTMCell(nn.Module):
    """As the remedy says: the gates of nn.LSTMCell by nn.Linear."""

    def __init__(self, inputs, size):
        super().__init__()
        self.gates, self.size = nn.Linear(inputs + size, 4 * size), size

    def forward(self, a):
        h, c = a.new_zeros(2, len(a), self.size)
        i, f, g, o = self.gates(torch.cat([a, h], 1)).chunk(4, 1)
        return o.sigmoid() * (f.sigmoid() * c + i.sigmoid() * g.tanh()).tanh()


def into_zeros(a, y):
    out = torch.zeros(ROWS)
    out += a @ y
    return out.square().mean()


def into_one(a, y):
    out = torch.zeros(ROWS)
    out[0] = a[0] @ y
    return out.square().mean()


def of_module(make):
    torch.manual_seed(0)
    module = make()
    return module, lambda a, y: functional_call(module, y, (a,)).square().mean()


def try_out(fit, y0=None, dtype=torch.float32):
    data = [torch.linspace(-1, i + 1, 5 * ROWS, dtype=dtype).view(ROWS, 5) for i in range(N)]
    problem = Problem.from_losses(
        lambda x, y, a: fit(a, y) + x.square().sum(),
        lambda x, y, a: fit(a, y) * x.exp().sum(),
        torch.zeros(2), torch.ones(5) if y0 is None else y0, data, data, ridge=0.1,
    )  # fmt: skip
    return run(STEPS, problem, Dense(lazy_ring(N)), 3, progress=False)


FUNCTIONS = {
    "randn": (lambda a, y: ((a + torch.randn(5)) @ y).square().mean(), "put them into the data"),
    "dropout": (
        lambda a, y: nn.functional.dropout(a @ y).square().mean(),
        "put them into the data",
    ),
    "item": (lambda a, y: (a @ y).square().mean() * y[0].item(), "use tensors all the way"),
    "float": (lambda a, y: (a @ y).square().mean() * float(y[0]), "use tensors all the way"),
    "print": (
        lambda a, y: print(float(y[0])) or (a @ y).square().mean(),
        "use tensors all the way",
    ),
    "numpy": (lambda a, y: (a @ y).square().mean() * y.numpy()[0], "use functions of torch"),
    "if": (lambda a, y: (a @ y).square().mean() if y.sum() > 0 else a.sum(), "torch.where, clamp"),
    "max": (lambda _, y: max(y[0], y[1]) ** 2, "torch.where, clamp"),
    "mask": (lambda a, y: (a @ y)[a[:, 0] > 0].square().mean(), "torch.where"),
    "nonzero": (lambda a, y: torch.nonzero(a).sum() * y.sum(), "torch.where"),
    "in place": (into_zeros, "torch.stack, cat or where"),
    "an entry": (into_one, "torch.stack, cat or where"),
    "complex": (
        lambda a, y: torch.fft.fft(a @ y).sum(),
        "real scalar, it returned torch.complex64",
    ),
    "scatter": (
        lambda a, y: torch.zeros(ROWS).scatter_(0, torch.arange(ROWS), a @ y).square().mean(),
        "torch.stack, cat or where",
    ),
    "index add": (
        lambda a, y: torch.zeros(ROWS).index_add_(0, torch.arange(ROWS), a @ y).square().mean(),
        "torch.stack, cat or where",
    ),
    "one hot": (
        lambda a, y: nn.functional.one_hot((a[:, 0] > 0).long()).sum() * y.sum(),
        "give num_classes",
    ),
    "tensor": (lambda a, y: torch.tensor((a @ y).sum()), "leave torch.tensor"),
    "checkpoint": (
        lambda a, y: checkpoint(lambda y: (a @ y).square().mean(), y, use_reentrant=False),
        "chunk= saves memory",
    ),
    "sparse": (lambda a, y: (a.to_sparse() @ y).sum(), "take dense ones"),
    "backward": (lambda a, y: (a @ y).square().mean().backward(), "return the scalar"),
    "gradient": (
        lambda a, y: torch.autograd.grad((a @ y).square().mean(), y)[0].square().mean(),
        "use torch.func.grad",
    ),
    "function": (lambda a, y: Squared.apply(a @ y).mean(), "give it setup_context"),
    "once": (lambda a, y: torch.cdist(a, y[None]).mean(), r"second derivative.*first_order\(\)"),
}
MODULES = {
    "dropout": (lambda: nn.Sequential(nn.Dropout(), nn.Linear(5, 1)), "put them into the data"),
    "batch norm": (lambda: nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 1)), "GroupNorm or Layer"),
    "lstm": (lambda: Recurrent(nn.LSTM), "nn.GRUCell in a loop"),
    "gru": (lambda: Recurrent(nn.GRU), "nn.GRUCell in a loop"),
    "rnn": (lambda: Recurrent(nn.RNN), "nn.GRUCell in a loop"),
    "rrelu": (lambda: nn.Sequential(nn.Linear(5, 1), nn.RReLU()), "take LeakyReLU"),
    "spectral": (lambda: spectral_norm(nn.Linear(5, 1)), "write it by others"),
    "bfloat16": (lambda: nn.Linear(5, 1).bfloat16(), "x0 is torch.float32 but y0 is"),
}


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_what_cannot_be_mapped_or_differentiated_is_told_with_what_to_write_instead(kind):
    fit, remedy = FUNCTIONS[kind]
    with pytest.raises(ValueError, match=rf"the (upper|lower) loss .*({remedy})"):
        try_out(fit)


@pytest.mark.parametrize("value", [lambda _: 0.0, lambda _: None, lambda y: (y.sum(), y)])
def test_a_loss_returns_one_scalar_tensor(value):
    data = [torch.zeros(1)] * N
    with pytest.raises(ValueError, match="upper loss must return one tensor, a scalar"):
        Problem.from_losses(
            lambda _x, y, _a: value(y), lambda *_: 0, torch.ones(1), torch.ones(1), data, data
        )


@pytest.mark.parametrize("kind", MODULES)
def test_a_module_that_cannot_be_mapped_is_told_with_what_to_take_instead(kind):
    make, remedy = MODULES[kind]
    module, fit = of_module(make)
    with pytest.raises(ValueError, match=remedy):
        try_out(fit, module)


def test_data_of_another_precision_are_told():
    with pytest.raises(ValueError, match=r"mixes types of numbers.*\.float\(\)") as told:
        try_out(lambda a, y: (a @ y).square().mean(), dtype=torch.float64)
    assert isinstance(told.value.__cause__, RuntimeError)


WORKS = {
    "layer norm": lambda: nn.Sequential(nn.Linear(5, 3), nn.LayerNorm(3), nn.Linear(3, 1)),
    "batch norm at rest": lambda: nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 1)).eval(),
    "own batch norm": lambda: nn.Sequential(
        nn.BatchNorm1d(5, track_running_stats=False), nn.Linear(5, 1)
    ),
    "transformer": lambda: nn.TransformerEncoderLayer(5, 1, 8, dropout=0.0, batch_first=True),
    "transformer at rest": lambda: nn.TransformerEncoderLayer(5, 1, 8, batch_first=True).eval(),
    "lstm cell": lambda: Recurrent(LSTMCell),
    "rnn cell": lambda: Recurrent(nn.RNNCell),
    "gru cell": lambda: Recurrent(nn.GRUCell),
}


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("kind", WORKS)
def test_what_is_recommended_works(kind):
    module, fit = of_module(WORKS[kind])
    trace = try_out(fit if "transformer" not in kind else lambda a, y: fit(a[None], y), module)
    assert trace["upper_loss"][-1] != trace["upper_loss"][0]
    assert torch.backends.mha.get_fastpath_enabled()


def test_gradients_within_a_loss_and_differences_work():
    try_out(lambda a, y: grad(lambda y: (a @ y).square().mean())(y).square().mean())
    data = [torch.ones(ROWS, 5)] * N

    def far(x, y, a):
        return torch.cdist(a, y[None]).mean() + x.sum() * y.sum()

    problem = Problem.from_losses(far, far, torch.zeros(1), torch.zeros(5), data, data, ridge=0.1)
    run(STEPS, problem.first_order(), Dense(lazy_ring(N)), 2)


@pytest.mark.parametrize("which", ["x", "y", "a"])
def test_a_loss_that_writes_into_what_it_is_called_with_is_refused(which):
    def fit(x, y, a):
        {"x": x, "y": y, "a": a}[which].mul_(0.5)
        return (a @ y).square().mean() + x.square().sum()

    data = [torch.ones(ROWS, 5)] * N
    with pytest.raises(
        ValueError, match=r"upper loss writes into what it is called with.*a = a / 2"
    ):
        Problem.from_losses(fit, fit, torch.ones(2), torch.ones(5), data, data)


class Ours(RuntimeError):
    """An error of the user's."""


PHRASES = "columns must have the same dtype", "no derivative for element Fe", "expected scalar type"


class Mine(ValueError):
    """Another."""


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), Ours("a"), RuntimeError("a"), SystemExit(3)]
    + [kind(text) for kind in (ValueError, Mine, RuntimeError, Ours) for text in PHRASES],
    ids=repr,
)
def test_errors_of_ones_own_pass_as_they_are(error):
    def fit(a, y):  # noqa: ARG001
        raise error

    with pytest.raises(type(error)) as told:
        try_out(fit)
    assert told.value is error
    assert error.__cause__ is None
    noted = getattr(error, "__notes__", [])
    assert not isinstance(error, Exception) or "upper loss was tried on agent 0's" in noted[0]


def test_shapes_that_do_not_fit_are_told_beside_pytorchs_words():
    with pytest.raises(RuntimeError) as told:
        try_out(lambda a, y: (a @ y).square().mean(), torch.zeros(4))
    assert "'torch.float32 [4]', 'torch.float32 [4, 5]'" in told.value.__notes__[0]
