"""Seed faults one at a time and see that a test or a claim of a chapter catches each.

    nox -s mutants                        all of them, hours on two cores
    nox -s mutants -- hypergrad           those whose file or page has this in its name
    nox -s mutants -- --resume            those that are not in the record yet

A fault is a replacement in one file of a copy of the project. One in a chapter is caught if claims
of its section fail; one in a package if its tests, which pass on the copy as it is, or claims of
its page fail. What was found goes to ``book/records/mutants.json``, which the page of the status
shows, after every fault. Those of the chapters' cells are in ``bench/page_faults.yml``, where
``bench/find_faults.py`` writes them. The exit code is 1 if a fault survives.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pages import ROOT, Executed, claiming, copied, executed
from tqdm import tqdm
from vacuous import commit, write

STORED = ROOT / "book/records/mutants.json"
SHOWN = 60
"""Letters that are kept of what noticed a fault."""

CALLBACKS = "tests/test_callbacks.py"
CHECK = "tests/test_check.py"
CONFORMANCE = "tests/test_conformance.py"
FAULTS = "tests/test_faults.py::test_"
HYPERGRAD = "tests/test_hypergrad.py"
LEVELS = "tests/test_levels.py"
MIXING = "tests/test_mixing.py"
PEERS = "tests/test_peers.py::test_"
PROBLEMS = "tests/test_problems.py"
PROJECTIONS = "tests/test_projections.py"
PUBLISHED = "tests/test_published.py"
SOFTMAX = "tests/test_softmax.py"
SUGGEST = "tests/test_suggest.py"
SPARKLE_TESTS = "tests/test_sparkle.py"


class Mutant(NamedTuple):
    """A fault: what is replaced by what, in which file, and who should notice.

    Parameters
    ----------
    what : str
        The fault, in words.
    file : str
        Path from the root.
    old, new : str
        ``old`` occurs exactly once.
    tests : tuple of str
        Files of tests, for a fault in a package.
    page : str
        Name of a chapter that is executed instead.
    section : str
        The section of a chapter whose claims should notice; any claim if it is empty.
    own : bool
        Whether the fault is in the cell of the claims, in what their sides are made of.
    """

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = (CONFORMANCE,)
    page: str = ""
    section: str = ""
    own: bool = False

    @property
    def digest(self) -> str:
        """What tells this fault from one of the same name that was changed."""
        return hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:12]


STOCHASTIC, PAIRS = "src/dsbo/stochastic.py", "tests/test_push_pull.py"
H, L, M = "src/dsbo/hypergrad.py", "src/dsbo/levels.py", "src/dsbo/mixing.py"
A = "src/dsbo/algorithms/"
DSOBA, SOBA, DIAMOND = A + "dsoba.py", A + "soba.py", A + "diamond.py"
SPARKLE = A + "reconstructed/sparkle.py"
NETWORK_PEERS = "src/dsbo/network/peers.py"
RANKS = "src/dsbo/network/ranks.py"
RUN, GOING = "src/dsbo/run.py", "src/dsbo/going.py"
SAME_BITS = PEERS + "processes_give_the_same_bits_as_none"
EXACT = (PROBLEMS, LEVELS, HYPERGRAD, "src/dsbo/hypergrad.py")
MUTANTS = (
    Mutant(
        "hypergrad: back through the steps in their order", H,
        "for point in reversed(points):", "for point in points:", (HYPERGRAD,),
    ),
    Mutant(
        "hypergrad: the way back adds what y bears", H,
        "q, a = q - beta * Ja", "q, a = q + beta * Ja", (HYPERGRAD,),
    ),
    Mutant(
        "provenance: a newer setting is told where it acts only by its default",
        "src/dsbo/provenance.py",
        "and value == setting.default", "and value != setting.default",
        ("tests/test_conformance.py::test_lower_steps_are_told_where_they_act_so_that_older_records_stay",),
    ),
    Mutant(
        "scales: the change of the hypergradient, not its rate", "src/dsbo/scales.py",
        "float(change.norm() / direction.norm())", "float(change.norm())", (SUGGEST,),
    ),
    Mutant(
        "scales: a shared lower level has the curvature of one agent", "src/dsbo/scales.py",
        "if shared else own", "if not shared else own", (SUGGEST,),
    ),
    Mutant(
        "suggest: the agents of the quadratic are alike", "src/dsbo/suggest.py",
        "np.where(random.permutation(N) < steep, scales.own, flat)", "np.full(N, scales.high)",
        (SUGGEST,),
    ),
    Mutant(
        "suggest: whatever stays finite rests", "src/dsbo/suggest.py",
        "1.5 * before.max(0)", "1e99 * before.max(0)", (SUGGEST,),
    ),
    Mutant(
        "suggest: no trial", "src/dsbo/suggest.py",
        '(("lower", 1.0), ("upper", SURVIVES))', "()", (SUGGEST,),
    ),
    Mutant(
        "suggest: a bound below the curvature", "src/dsbo/suggest.py",
        "bound = 1.2 * scales.own", "bound = 0.8 * scales.own", (SUGGEST,),
    ),
    Mutant(
        "tune: the worst goes on", "src/dsbo/tune.py",
        "np.argsort(scores,", "np.argsort(-scores,", ("tests/test_tune.py",),
    ),
    Mutant(
        "tune: z keeps its step", "src/dsbo/tune.py",
        '("lower", "auxiliary")', '("lower",)', ("tests/test_tune.py",),
    ),
    Mutant(
        "tune: early rows count", "src/dsbo/tune.py",
        "late = values[-max(1, len(values) // 4) :]", "late = values", ("tests/test_tune.py",),
    ),
    Mutant(
        "examine: a loss that draws is not noticed", "src/dsbo/examine.py",
        "(here := value(x, y)) != value(x, y)", "(here := value(x, y)) != here", (CHECK,),
    ),
    Mutant(
        "examine: what is hidden from differentiation is not noticed", "src/dsbo/examine.py",
        "if not abs(found - told) <= error:", "if abs(found - told) == math.inf:", (CHECK,),
    ),
    Mutant(
        "examine: the lower level is not solved again", "src/dsbo/examine.py",
        "(self.solved(x + s * way, y) for s in (h, -h))", "(self.solved(x, y) for s in (h, -h))",
        (CHECK,),
    ),
    Mutant(
        "examine: agents' own levels are taken for one", "src/dsbo/examine.py",
        "groups = [everyone] if self.shared else", "groups = [everyone] if True else", (CHECK,),
    ),
    Mutant(
        "descent: momentum that leads uphill goes on", "src/dsbo/descent.py",
        "torch.where(uphill, 0.0, momentum + 1)", "momentum + 1", (CHECK,),
    ),
    Mutant(
        "descent: steeper places are not noticed", "src/dsbo/descent.py",
        "torch.where(told, steep.maximum(seen), steep)", "steep", (CHECK,),
    ),
    Mutant(
        "descent: unrolled without the step before", "src/dsbo/descent.py",
        "(1 + b) * way - a * s_y + earlier, -b * way", "way - a * s_y, earlier", (CHECK,),
    ),
    Mutant(
        "report: curvature by rounding is enough", "src/dsbo/report.py",
        "self.low > 32 * torch.finfo(self.x.dtype).eps * abs(self.high)", "self.high > 0", (CHECK,),
    ),
    Mutant(
        "report: coarse differences count as kinks", "src/dsbo/report.py",
        "if ways.rounding > self.tolerance:", "if ways.rounding > 1e9:", (CHECK,),
    ),
    Mutant(
        "memory: what is freed stays", "src/dsbo/memory.py",
        "self.now -= self.held.pop(key)", "self.held.pop(key)", (CHECK,),
    ),
    Mutant(
        "memory: the chunk is not heeded", "src/dsbo/memory.py",
        "ratio = N / size", "ratio = 1", (CHECK,),
    ),
    Mutant(
        "memory: one agent stands for agents with other data", "src/dsbo/memory.py",
        "if any(_rows(problem)) else 1", "if False else 1", (CHECK,),
    ),
    Mutant(
        "memory: random numbers of one iteration", "src/dsbo/memory.py",
        "for t in (0, together, 2 * together)", "for t in (0, 1, 2)", (CHECK,),
    ),
    Mutant(
        "compiled: one graph for all lengths", "src/dsbo/compiled.py",
        "self.form, *self.fixed, *shapes", "self.form, *shapes", ("tests/test_ragged.py",),
    ),
    Mutant(
        "named: globals are not told", "src/dsbo/problems/named.py",
        "_names(loss.__code__) & loss.__globals__.keys()", "set()", ("tests/test_names.py",),
    ),
    Mutant(
        "arguments: the mean of the agents held here", "src/dsbo/arguments.py",
        "ranks.gather(rows.sum(0, keepdim=True))", "[rows.sum(0, keepdim=True)]",
        ("tests/test_peers.py",),
    ),
    Mutant(
        "ragged: padding taken for data", "src/dsbo/ragged.py", "part[i, :m]", "part[i]",
        ("tests/test_ragged.py",),
    ),
    Mutant(
        "ragged: agents in the order of their lengths", "src/dsbo/ragged.py",
        "torch.cat(found)[order.tolist()]", "torch.cat(found)", ("tests/test_ragged.py",),
    ),
    Mutant(
        "samplers: the upper batch for both levels", "src/dsbo/problems/samplers.py",
        "return batch[0], batch[1]", "return batch[0], batch[0]", (PROBLEMS,),
    ),
    Mutant(
        "problem: of two batches one is told", "src/dsbo/problems/problem.py",
        "drawn[0] if drawn[0] == drawn[1] else drawn", "drawn[0]", (PROBLEMS,),
    ),
    Mutant(
        "samplers: draws from the rows of the longest", "src/dsbo/problems/samplers.py",
        "own = m if self.lengths is None else", "own = m if True else", ("tests/test_ragged.py",),
    ),
    Mutant(
        "keys: a bound of one takes a word", "src/dsbo/keys.py",
        "again |= (bounds == 1) & (bounds.max() > 1)", "again |= bounds < 1",
        ("tests/test_keys.py",),
    ),
    Mutant(
        "curvature: the direction before is not taken out", H,
        "addcmul_(beside, before, value=-1)", "addcmul_(beside, before, value=0)", (HYPERGRAD,),
    ),
    Mutant(
        "curvature: a space that is used up has curvature zero", H,
        "torch.where(beside > 0, along, diagonal[0])", "along", (HYPERGRAD,),
    ),
    Mutant(
        "arguments: twice the bound on L", "src/dsbo/arguments.py",
        "    if not high > 2 * L:", "    if not high > 4 * L:", ("tests/test_run.py",),
    ),
    Mutant(
        "going: the bound on L is looked at where the run began", "src/dsbo/going.py",
        "self.now.t, (self.now.state.x, self.now.state.y))", "self.now.t)", ("tests/test_run.py",),
    ),
    Mutant(
        "arguments: half the bound on L", "src/dsbo/arguments.py",
        "    if not high > 2 * L:", "    if not high > L:", ("tests/test_run.py",),
    ),
    Mutant(
        "checked: truth values are numbers", "src/dsbo/checked.py",
        'None if isinstance(value, bool) or "bool" in _kind(value) else index(value)',
        "index(value)",
        ("tests/test_run.py",),
    ),
    Mutant(
        "checkpoint: the seal does not know what is beside the tensors", "src/dsbo/checkpoint.py",
        "hashlib.sha256(body.encode())", "hashlib.sha256()", ("tests/test_formats.py",),
    ),
    Mutant(
        "trace: the seal does not know the provenance", "src/dsbo/trace.py",
        "hashlib.sha256(told.encode())", "hashlib.sha256(told.partition(chr(10))[2].encode())",
        ("tests/test_trace.py",),
    ),
    Mutant(
        "trace: files that all may read", "src/dsbo/trace.py", "O_EXCL, 0o666)", "O_EXCL, 0o444)",
        ("tests/test_trace.py",),
    ),
    Mutant(
        "levels: fast attention is left off", L,
        "set_fastpath_enabled(fast)", "set_fastpath_enabled(False)", ("tests/test_losses.py",),
    ),
    Mutant(
        "remedies: the cause is not kept", "src/dsbo/remedies.py", "from error", "from None",
        ("tests/test_losses.py",),
    ),
    Mutant(
        "exact: sign of the implicit term", H,
        "factor)[:, 0]\n    return u_x - p", "factor)[:, 0]\n    return u_x + p", EXACT,
    ),
    Mutant(
        "exact: Hessian of one agent instead of the mean", H,
        "point.hess(part).mean(1)", "point.hess(part)[:, 0]", EXACT,
    ),
    Mutant(
        "cg: quotient of the direction upside down", H,
        "squared / previous * direction", "previous / squared * direction", EXACT,
    ),
    Mutant(
        "cg: sign of the new direction", H,
        "residual + squared / previous", "residual - squared / previous", EXACT,
    ),
    Mutant(
        "cg: residual loses the direction, not its product with H", H,
        "residual - length * Hd", "residual - length * direction", EXACT,
    ),
    Mutant(
        "cg: length of a step without the Hessian", H,
        "length = squared / curvature", "length = squared / (direction @ direction)", EXACT,
    ),
    Mutant(
        "neumann: chain one factor short", H,
        "range(int(k.max()), 0, -1)", "range(int(k.max()) - 1, 0, -1)", (HYPERGRAD,),
    ),
    Mutant("neumann: mask off by one", H, "where(j <= k,", "where(j < k,", (HYPERGRAD,)),
    Mutant("neumann: scaled by K - 1", H, "total = K * q", "total = (K - 1) * q", (HYPERGRAD,)),
    Mutant(
        "neumann: one sample reused in all factors", H,
        "g.hess(x, y, chain.zetas[j], v)", "g.hess(x, y, chain.zetas[1], v)",
        (HYPERGRAD,),
    ),
    Mutant("neumann: series not divided by L", H, "total / L)", "total)", (HYPERGRAD,)),
    Mutant(
        "neumann: full sum one term short", H,
        "for j in range(1, K):", "for j in range(2, K):", (HYPERGRAD,),
    ),
    Mutant(
        "levels: ridge of Hz at y instead of z", L,
        "return jv, self._ridged(hv, v)", "return jv, self._ridged(hv, self.y)", (LEVELS,),
    ),
    Mutant(
        "levels: ridge of a lone Hz at y instead of z", L,
        "self.at_y)), v)", "self.at_y)), self.y)", (LEVELS,),
    ),
    Mutant(
        "levels: ridge without its factor 2", L,
        "alpha=2 * ridge", "alpha=ridge", (LEVELS,),
    ),
    Mutant(
        "levels: sign of a one-sided difference", "src/dsbo/first_order.py",
        "(a2 - b2) / width", "(a2 + b2) / width", (LEVELS,),
    ),
    Mutant(
        "levels: central difference over half its width", "src/dsbo/first_order.py",
        "width = 2 * s if", "width = s if", (LEVELS,),
    ),
    Mutant(
        "mixing: Metropolis forgets to count the agent itself", M,
        "A / (1 + np.maximum(", "A / (0 + np.maximum(", (MIXING,),
    ),
    Mutant(
        "mixing: Metropolis with the smaller degree", M,
        "np.maximum(degree", "np.minimum(degree", (MIXING,),
    ),
    Mutant(
        "mixing: Laplacian rule with a half for two thirds", M,
        "2 * A / (3 * top)", "2 * A / (4 * top)", (MIXING,),
    ),
    Mutant(
        "mixing: rho without the mean taken out", "src/dsbo/spectra.py",
        "np.linalg.norm(W - 1 / len(W), ord=2)", "np.linalg.norm(W, ord=2)", (MIXING,),
    ),
    Mutant(
        "spectra: Lanczos without its second term", "src/dsbo/spectra.py",
        "(beside[-1] * new if diagonal else 0)", "0", (MIXING,),
    ),
    Mutant(
        "mixing: rounded weights without what makes them sum to one", STOCHASTIC,
        "off + np.diag(1 - off.sum(axis=1))", "off", (MIXING,),
    ),
    Mutant(
        "mixing: an agent divides what it receives as its hearers do", M,
        "shares / shares.sum(axis=1, keepdims=True)", "shares / shares.sum(axis=0)", (PAIRS,),
    ),
    Mutant(
        "push and pull: trackers are pulled", "src/dsbo/network/push_pull.py",
        "torch.mm(pushes, row) for row in push", "torch.mm(pulls, row) for row in push", (PAIRS,),
    ),
    Mutant(
        "push and pull: the graph of the first round, for ever", "src/dsbo/network/push_pull.py",
        "place = drawn(self.sent[self.clock], len(self.cycle))", "place = 0", (PAIRS,),
    ),
    Mutant(
        "push and pull: what is not tracked is let through", STOCHASTIC,
        "if network.push is None or tracking:", "if True:", (PAIRS,),
    ),
    Mutant(
        "peers: trackers are pulled", NETWORK_PEERS,
        "(self.terms if k < pulled else self.pushed)[i]", "self.terms[i]", (PAIRS,),
    ),
    Mutant(
        "sparkle: ATC pulls its tracker", SPARKLE, "mix(push=(e + G,))", "mix(e + G)", (PAIRS,),
    ),
    Mutant(
        "spectra: the Perron vector of the columns", "src/dsbo/spectra.py",
        "A = square(W).copy()\n    if", "A = square(W).T.copy()\n    if", (PAIRS,),
    ),
    Mutant(
        "mixing: lazy weights keep a third", M,
        "(np.eye(len(W)) + W) / 2", "(np.eye(len(W)) + 2 * W) / 3", (MIXING,),
    ),
    Mutant(
        "network: W transposed", "src/dsbo/network/dense.py",
        "mixing.rounded(self.W, like", "mixing.rounded(self.W.T, like",
    ),
    Mutant(
        "network: sparse W transposed", "src/dsbo/network/sparse.py",
        "mixing.rounded(self.W, like", "mixing.rounded(self.W.T, like",
        (PEERS + "processes_equal_the_matrix",),
    ),
    Mutant(
        "peers: every neighbour takes the first one's weight", NETWORK_PEERS,
        "target.add_(known[neighbour][k], alpha=w)",
        "target.add_(known[neighbour][k], alpha=weight)", (PEERS + "processes_equal_the_matrix",),
    ),
    Mutant(
        "peers: own rows are summed before those that arrive", NETWORK_PEERS,
        "for j in np.flatnonzero(weights[i])]",
        "for j in sorted(np.flatnonzero(weights[i]), key=lambda j: j not in agents)]",
        (SAME_BITS,),
    ),
    Mutant(
        "peers: derivatives depend on how many agents are here", NETWORK_PEERS,
        "batched: ClassVar[bool] = False", "batched: ClassVar[bool] = True",
        (PEERS + "losses_of_ones_own_have_the_same_bits_on_processes",),
    ),
    Mutant(
        "peers: rows are sent that no weight asks for", NETWORK_PEERS,
        "np.flatnonzero(part.any(axis=0))", "range(part.shape[1])",
        (PEERS + "only_rows_that_are_asked_for_cross",),
    ),
    Mutant(
        "ranks: blocks forget what does not divide", RANKS,
        "r * size + min(r, more)", "r * size", (SAME_BITS,),
    ),
    Mutant(
        "ranks: rows are gathered in another order", RANKS,
        "torch.cat(parts)", "torch.cat(parts[::-1])", (SAME_BITS,),
    ),
    Mutant(
        "run: a rank decides alone whether it diverges", GOING,
        "self.ranks.maximum(0 if all(finite) else len(finite) - finite.index(False))",
        "0 if all(finite) else len(finite) - finite.index(False)",
        (FAULTS + "what_one_rank_cannot_go_on_with_ends_all_with_the_whole_trace",),
    ),
    Mutant(
        "run: ranks do not compare their seeds", "src/dsbo/arguments.py",
        "[key for key in first if other", '[key for key in first if key != "seed" and other',
        (FAULTS + "ranks_with_other_settings_are_refused",),
    ),
    Mutant(
        "group: threads stay as they were set", "src/dsbo/network/group.py",
        "torch.set_num_threads(threads)", "torch.set_num_threads(1)",
        (FAULTS + "what_joining_sets_is_put_back_and_networks_of_before_are_refused",),
    ),
    Mutant(
        "peers: what is unpickled elsewhere stays alone", NETWORK_PEERS,
        "return Peers, (self.W, self.push)", "return object.__reduce__(self)",
        (PEERS + "a_network_that_is_sent_to_processes_belongs_to_them",),
    ),
    Mutant(
        "tally: an interrupted iteration counts", "src/dsbo/tally.py",
        "sent=dict(sent)", "sent=sent",
        ("tests/test_run.py::test_an_iteration_that_is_interrupted_counts_for_nothing",),
    ),
    Mutant(
        "tally: calls of an iteration that did not end count", "src/dsbo/tally.py",
        "self.pending[: self.t - self.since]", "self.pending",
        ("tests/test_run.py::test_wherever_a_run_is_interrupted_it_goes_on_as_if_nothing_had_been",),
    ),
    Mutant(
        "run: a row that was due is not made up for", RUN,
        "stopped = noted()\n            while", "stopped = None\n            while",
        ("tests/test_run.py::test_wherever_a_run_is_interrupted_it_goes_on_as_if_nothing_had_been",),
    ),
    Mutant(
        "run: a run that a callback ends leaves no checkpoint", RUN,
        "due = stopped or going", "due = going", (CALLBACKS,),
    ),
    Mutant(
        "callbacks: every rank asks its own", "src/dsbo/callbacks.py",
        "return self.ranks.broadcast(asked) if", "return asked() if", (CALLBACKS,),
    ),
    Mutant(
        "callbacks: one that fails keeps the others from the end", "src/dsbo/callbacks.py",
        "errors.append(error)\n        if", "raise\n        if", (CALLBACKS,),
    ),
    Mutant(
        "callbacks: rows with NaN are the smallest", "src/dsbo/callbacks.py",
        "np.fmin.reduce(part, initial=np.inf)", "np.minimum.reduce(part, initial=np.inf)",
        (CALLBACKS,),
    ),
    Mutant(
        "callbacks: the file of the run before goes on", "src/dsbo/callbacks.py",
        "self._columns = []\n        if trace", "if trace", (CALLBACKS,),
    ),
    Mutant(
        "trace: half a last number is a number", "src/dsbo/trace.py",
        'not told.endswith("\\n")', "not told", (CALLBACKS,),
    ),
    Mutant(
        "starts: of the same method x and y alone", "src/dsbo/starts.py",
        'len(given.told["variables"]) > 2', 'len(given.told["variables"]) > 99',
        ("tests/test_starts.py",),
    ),
    Mutant(
        "starts: a run goes on from a checkpoint of another start", RUN,
        '{"warm": given.told}', "{}", ("tests/test_starts.py",),
    ),
    Mutant(
        "starts: a start outside the set", "src/dsbo/starts.py",
        "return state if project is None else", "return state if True else", (PROJECTIONS,),
    ),
    Mutant(
        "simplex: one entry too many stays positive", "src/dsbo/projections.py",
        "levels.gather(1, k - 1)", "levels.gather(1, k.clamp(max=x.shape[1] - 1))", (PROJECTIONS,),
    ),
    Mutant(
        "base: the levels share one clock", "src/dsbo/network/base.py",
        "self.weights(self.sent[self.clock])", 'self.weights(self.sent["rounds"])',
        ("tests/test_one_peer.py::test_of_each_level_all_peers_are_met",),
    ),
    Mutant(
        "provenance: data are not told", "src/dsbo/provenance.py",
        '"data": digest(samples)', '"data": digest(())',
        ("tests/test_run.py::test_a_checkpoint_of_another_problem_or_a_longer_run_is_refused",),
    ),
    Mutant(
        "checkpoint: tensors are not in the digest", "src/dsbo/checkpoint.py",
        "    for name, part in sorted(tensors.items()):\n", "    for name, part in ():\n",
        ("tests/test_run.py::test_a_damaged_checkpoint_is_refused",),
    ),
    Mutant(
        "watch: who is silent is not blamed", "src/dsbo/network/watch.py",
        "        if silent:\n", "        if silent and not notes and before == after:\n",
        (FAULTS + "a_lost_rank_ends_the_run_which_then_goes_on",),
    ),
    Mutant("dsoba: y takes x's step", DSOBA, "descend(s.y, b, v)", "descend(s.y, a, v)"),
    Mutant(
        "dsoba: weight of the moving average upside down", DSOBA,
        "lerp(u_x - Jz, theta)", "lerp(u_x - Jz, 1 - theta)",
    ),
    Mutant(
        "dsoba: sample of the next iteration", DSOBA,
        "w.draw.zeta(t), s.z", "w.draw.zeta(t + 1), s.z",
    ),
    Mutant(
        "dsoba: x moves before it is averaged in", DSOBA,
        "return self.State(x, y, z, h)", "return self.State(x - a * h, y, z, h)",
    ),
    Mutant(
        "single level: mixes before the step", A + "single_level.py",
        "w.mix(s.y - at(self.beta, t) * v)", "w.mix(s.y)\n        y = y - at(self.beta, t) * v",
    ),
    Mutant(
        "madsbo: y adapts before it mixes", A + "reconstructed/madsbo.py",
        "(y,) = w.mix(y)\n            y = y - at(self.beta, t) * v",
        "(y,) = w.mix(y - at(self.beta, t) * v)",
    ),
    Mutant(
        "madsbo: tracker forgets the old direction", A + "reconstructed/madsbo.py",
        "d + s - s_", "d + s",
    ),
    Mutant(
        "madsbo: x takes the new direction", A + "reconstructed/madsbo.py",
        "at(self.alpha, t) * s.h", "at(self.alpha, t) * h",
    ),
    Mutant(
        "mdbo: tracker adds the momentum, not its change", A + "reconstructed/mdbo.py",
        "p + u - s.u, tracker", "p + u, tracker",
    ),
    Mutant(
        "mdbo: relaxation upside down", A + "reconstructed/mdbo.py",
        "alpha, t) * p, self.relaxation", "alpha, t) * p, 1.5 - self.relaxation",
    ),
    Mutant(
        "mdbo: a share of the first estimates", A + "reconstructed/mdbo.py",
        "if t else (1.0, 1.0)", "if t >= 0 else (1.0, 1.0)",
    ),
    Mutant(
        "vrdbo: correction without the old estimate", A + "reconstructed/mdbo.py",
        "(1 - eta) * (s.u - q_)", "(1 - eta) * s.u",
    ),
    Mutant(
        "rest: the step after mixing", "src/dsbo_book/experiments/rest.py",
        "return W @ (w - gamma_ * _directions(problem, w, *batches))",
        "return W @ w - gamma_ * _directions(problem, w, *batches)", ("tests/test_rest.py",),
    ),
    Mutant(
        "diamond: correction of p left out", DIAMOND,
        "(1 - at(self.eta, t)) * (s.p - q_)", "(1 - at(self.eta, t)) * s.p",
    ),
    Mutant(
        "diamond: another sample at the old point", DIAMOND,
        "s.x_, s.y_, chain, zeta)", "s.x_, s.y_, w.draw.chain(t + 1, self.K), zeta)",
    ),
    Mutant("diamond: tracker never forgets", DIAMOND, "u = u + p - s.p", "u = u + p"),
    Mutant(
        "diamond: x steps along the old tracker", DIAMOND,
        "at(self.alpha, t) * u  # (9)", "at(self.alpha, t) * s.u  # (9)",
    ),
    Mutant(
        "diamond: remembers the new iterates as the old", DIAMOND,
        "p, v, u, s.x, s.y)", "p, v, u, x, y)",
    ),
    Mutant(
        "dsgd: D-SGD tracks", A + "dsgd.py",
        "Cost(\"d\", lower_grads=\"inner\", hvps=\"chain\")\n    tracking: ClassVar[bool] = False",
        "Cost(\"d\", lower_grads=\"inner\", hvps=\"chain\")\n    tracking: ClassVar[bool] = True",
    ),
    Mutant(
        "sparkle: ED remembers the iterate, not its error", SPARKLE,
        "return moved, moved - adapted", "return moved, moved - S",
    ),
    Mutant(
        "sparkle: EXTRA's sum with the wrong sign", SPARKLE,
        "e = e + S - mixed", "e = e - S + mixed",
    ),
    Mutant(
        "sparkle: semi-ATC mixes before the step", SPARKLE,
        "S, mixed = mix(S - a * T, push=(T,))\n    return S,",
        "S, mixed = mix(S, push=(T,))\n    return S - a * T,",
    ),
    Mutant(
        "sparkle: u at the old y", SPARKLE,
        "u_x, u_y = w.f.grad(s.x, y, xi)", "u_x, u_y = w.f.grad(s.x, s.y, xi)",
    ),
    Mutant(
        "sparkle: h with the old z", SPARKLE,
        "u_x - g.jac(z)", "u_x - g.jac(s.z)",
    ),
    Mutant(
        "sparkle: y mixed over the graph of x", SPARKLE,
        "lower(w.mix_y,", "lower(w.mix,", (SPARKLE_TESTS,),
    ),
    Mutant(
        "sparkle: bound of stability without the lower root", SPARKLE,
        "np.abs(values - split).max()))", "0.0))", (SPARKLE_TESTS,),
    ),
    Mutant(
        "interact: restart forgets to average over its draws", A + "reconstructed/interact.py",
        "torch.stack(parts).mean(0)", "torch.stack(parts).sum(0)",
    ),
    Mutant(
        "sldbo: projection on twice the ball", A + "reconstructed/sldbo.py",
        "Ball(self.radius)(", "Ball(2 * self.radius)(",
    ),
    Mutant(
        "lopa: tracker never forgets", A + "reconstructed/lopa.py", "u = u + h - s.h", "u = u + h",
    ),
    Mutant(
        "dsbo: Q without its transpose's sign", A + "reconstructed/dsbo.py",
        "direction = u_x - (u_y", "direction = u_x + (u_y",
    ),
    Mutant(
        "dsbo: bytes of one agent's matrices", A + "reconstructed/dsbo.py",
        "MATRICES * n * p * d", "MATRICES * p * d", ("tests/test_table_methods.py",),
    ),
    Mutant(
        "slam: y moves along the hypergradient's step", A + "reconstructed/slam.py",
        "v, at(self.beta, t))", "v, at(self.alpha, t))",
    ),
    Mutant(
        "sparkle: EXTRA's C in ED's place", "book/sparkle.md",
        "\"ED\": (lam, root, 1)", "\"ED\": (lam, root, lam)",
    ),
    Mutant(
        "schedules: momentum of the next step", "src/dsbo/schedules.py",
        "at(self.alpha, t - 1) ** 2", "at(self.alpha, t) ** 2", (HYPERGRAD,),
    ),
    Mutant(
        "world: chain drawn from the lower stream", "src/dsbo/world.py",
        "agents.cpu(), times, stream)", "agents.cpu(), times, min(stream, 1))",
    ),
    Mutant(
        "whole: two variables that begin as one tensor", "src/dsbo/whole.py",
        "[part.clone(memory_format=torch.contiguous_format) for part in state]", "list(state)",
        (CONFORMANCE,),
    ),
    Mutant(
        "whole: a step that looks at t is taken for one that does not", "src/dsbo/whole.py",
        'raise TypeError("the step depends on t itself")', "return False", ("tests/test_run.py",),
    ),
    Mutant(
        "traced: what depends on the vector is taken for what does not", "src/dsbo/traced.py",
        "del early[inputs[late]]", "pass", (LEVELS,),
    ),
    Mutant(
        "levels: many vectors counted as one", L,
        "len(v) if v.ndim == 3 else 1", "1", (LEVELS,),
    ),
    Mutant(
        "keys: the key of every round the same", "src/dsbo/keys.py",
        "key += BUMPS", "key += 0 * BUMPS", ("tests/test_keys.py",),
    ),
    Mutant(
        "softmax: Hessian without its rank-one part", "src/dsbo_book/problems/softmax.py",
        "= -(scaled.mT @ scaled)", "= 0 * (scaled.mT @ scaled)", (SOFTMAX,),
    ),
    Mutant(
        "decisions: what comes next is lost", "src/dsbo_book/problems/decisions.py",
        "(reward + discount * P @ y)", "(reward - discount * P @ y)", ("tests/test_decisions.py",),
    ),
    Mutant(
        "decisions: one model for both factors", "src/dsbo_book/problems/decisions.py",
        "errors[0] @ errors[-1]", "errors[0] @ errors[0]", ("tests/test_decisions.py",),
    ),
    Mutant(
        "quadratic: B without its sign", "src/dsbo/problems/quadratic.py",
        "A, -Q.mT, -r)", "A, Q.mT, -r)", (PROBLEMS, CONFORMANCE),
    ),
    Mutant(
        "problem: the implicit term with the wrong sign", "src/dsbo/problems/problem.py",
        "(u_x - self.g.jac(", "(u_x + self.g.jac(", (PROBLEMS, SOFTMAX),
    ),
    Mutant(
        "problem: what metrics read stays behind", "src/dsbo/problems/problem.py",
        '"lower", "unseen")}', '"lower")}', (PROBLEMS,),
    ),
    Mutant(
        "mixing: weights of a ring that do not sum to one", "book/mixing.md",
        "side = (1 - w0) / 2", "side = (1 - w0) / 3",
    ),
    Mutant(
        "value-function: offset of y* upside down", "book/value-function.md",
        "S, s = B / A, b / A", "S, s = B / A, A / b",
    ),
    Mutant(
        "hypergradient: sign of the sensitivity of y*", "book/hypergradient.md",
        "S = -H.I * J.T", "S = H.I * J.T",
    ),
    Mutant(
        "auxiliary-system: sign of Jz in D_x", "book/auxiliary-system.md",
        "D_x, D_z = u_x - J * z,", "D_x, D_z = u_x + J * z,",
    ),
    Mutant(
        "neumann-series: remainder off by one", "book/neumann-series.md",
        "remainder = (1 - h / L) ** K / h", "remainder = (1 - h / L) ** (K + 1) / h",
    ),
    Mutant(
        "recursive-momentum: correction without its weight", "book/recursive-momentum.md",
        "after = (1 - eta) * eps + n - (1 - eta) * n_", "after = (1 - eta) * eps + n - n_",
    ),
    Mutant(
        "bilevel-network: gap without its square", "book/bilevel-network.md",
        "square = (h1 - h2) ** 2", "square = (h1 - h2) ** 1",
    ),
    Mutant(
        "gradient-tracking: tracker never forgets", "book/gradient-tracking.md",
        "u = W * u_ + p - p_", "u = W * u_ + p",
    ),
    Mutant(
        "baselines: own inverses averaged as one", "book/baselines.md",
        "own = (J * u / (h * (1 - s)) + J * u / (h * (1 + s))) / 2", "own = J * u / (h * (1 - s))",
    ),
    Mutant(
        "nonlinear: Jacobian without mixing", "book/nonlinear.md",
        "sp.eye(2) - W * (sp.eye(2) - step * blocks),", "sp.eye(2) - (sp.eye(2) - step * blocks),",
    ),
    Mutant(
        "exp-logistic-tuning: best one-sided δ without its factor", "book/exp-logistic-tuning.md",
        "best_one = sp.sqrt(2 * sp.sqrt(2) * eta / M)", "best_one = sp.sqrt(2 * eta / M)",
    ),
    Mutant(
        "a9a: the momentum of DIAMOND another of those tried", "src/dsbo_book/experiments/a9a.py",
        '"DIAMOND": STEPS | {"eta": 0.5}',
        '"DIAMOND": STEPS | {"eta": 10.0}', (), "exp-a9a",
    ),
    Mutant(
        "a9a: the printed momentum is ten", "src/dsbo_book/experiments/a9a.py",
        'PRINTED = {"alpha": 5.0, "beta": 7.5, "eta": 2.5}',
        'PRINTED = {"alpha": 5.0, "beta": 7.5, "eta": 10.0}', (), "exp-a9a",
    ),
    Mutant(
        "meta: the printed momentum is another", "src/dsbo_book/experiments/meta.py",
        'PRINTED = {"alpha": 10.0, "beta": 100.0, "eta": 10.0}',
        'PRINTED = {"alpha": 10.0, "beta": 100.0, "eta": 2.5}', (), "exp-meta",
    ),
    Mutant(
        "diamond: the exponent of the steps a half", DIAMOND,
        "alpha = Power(c_alpha, omega, 1 / 3)", "alpha = Power(c_alpha, omega, 1 / 2)",
        (PUBLISHED,),
    ),
    Mutant(
        "diamond: the exponent of the lower steps a half", DIAMOND,
        "beta = Power(c_beta * c_alpha, omega, 1 / 3)",
        "beta = Power(c_beta * c_alpha, omega, 1 / 2)", (PUBLISHED,),
    ),
    Mutant(
        "diamond: both shares one for ever", DIAMOND,
        '{"eta": Momentum(c_eta, alpha), "gamma": Momentum(c_gamma, alpha)}',
        '{"eta": 1.0, "gamma": 1.0}', (PUBLISHED,),
    ),
    Mutant(
        "diamond: one rule for both shares", DIAMOND,
        '"gamma": Momentum(c_gamma, alpha)', '"gamma": Momentum(c_eta, alpha)', (PUBLISHED,),
    ),
    Mutant(
        "vrdbo: the momentum of MDBO", A + "reconstructed/mdbo.py",
        "recursive: ClassVar[bool] = True", "recursive: ClassVar[bool] = False",
    ),
    Mutant(
        "sldbo: no projection", A + "reconstructed/sldbo.py",
        "z = Ball(self.radius)(z - at(self.gamma, t) * t_z)",
        "z = z - at(self.gamma, t) * t_z",
    ),
    Mutant(
        "spectra: rho as the second modulus of an eigenvalue", "src/dsbo/spectra.py",
        "return float(np.linalg.norm(W - 1 / len(W), ord=2))",
        "return float(np.sort(np.abs(np.linalg.eigvals(W - 1 / len(W))))[-1])", (MIXING,),
    ),
    Mutant(
        "transient: N² for N³", "book/transient-measured.md",
        "return len(W) ** 3 * (odds(W) * b) ** 4", "return len(W) ** 2 * (odds(W) * b) ** 4",
    ),
    Mutant(
        "transient: b squared as printed", "book/transient.md",
        "derived = rho_**4 * N**3 * b**4", "derived = rho_**4 * N**3 * b**2",
    ),
    Mutant(
        "dsoba: sign of u_y in D_z", "book/dsoba.md",
        "D_y, D_z = g.diff(y), g.diff(y, 2) * z - f", "D_y, D_z = g.diff(y), g.diff(y, 2) * z + f",
    ),
    Mutant(
        "diamond, page: tracker never forgets", "book/diamond.md",
        "u_t = W * u_ + p_t - p_", "u_t = W * u_ + p_t",
    ),
)  # fmt: skip


EXPERIMENTS = ("exp-cleaning", "exp-logistic", "exp-a9a", "exp-meta")
STORED_CURVES = (*EXPERIMENTS, "nonlinear", "open-questions", "table")
ACROSS = (
    (
        "trace: columns from their end", "src/dsbo/trace.py",
        "np.array([row[column] for row in self.rows])",
        "np.array([row[column] for row in self.rows[::-1]])",
        (*STORED_CURVES, "baselines", "bilevel-network", "dsoba", "extend", "sparkle"),
    ),
    (
        "compare: who is ahead, turned round", "src/dsbo_book/experiments/compare.py",
        "sign * (np.log(b) - np.log(a))", "sign * (np.log(a) - np.log(b))",
        ("exp-a9a", "exp-meta"),
    ),
    (
        "problem: the implicit term with the wrong sign", "src/dsbo/problems/problem.py",
        "(u_x - self.g.jac(", "(u_x + self.g.jac(",
        ("bilevel-network", "dsoba-rest", "exp-logistic"),
    ),
    (
        "cleaning: weights of the opposite", "src/dsbo_book/problems/cleaning.py",
        "torch.sigmoid(x[e])", "torch.sigmoid(-x[e])", ("exp-cleaning", "open-questions"),
    ),
    (
        "networks: a ring for the torus", "src/dsbo_book/experiments/networks.py",
        "graphs.torus(2, agents // 2)", "graphs.ring(agents)", ("exp-cleaning",),
    ),
    (
        "softmax: Hessian without its rank-one part", "src/dsbo_book/problems/softmax.py",
        "= -(scaled.mT @ scaled)", "= 0 * (scaled.mT @ scaled)", ("exp-logistic",),
    ),
    (
        "neumann: chain one factor short", H,
        "range(int(k.max()), 0, -1)", "range(int(k.max()) - 1, 0, -1)",
        ("diamond", "neumann-series"),
    ),
    (
        "neumann: series not divided by L", H, "total / L)", "total)",
        ("exp-meta", "neumann-series"),
    ),
    (
        "dsoba: x steps upwards", DSOBA, "descend(s.x, a,", "descend(s.x, -a,",
        ("bilevel-network", "dsoba", "dsoba-rest", "exp-cleaning", "exp-logistic", "intro",
         "nonlinear", "open-questions", "sparkle", "transient-measured"),
    ),
    (
        "cleaning: units that are active at zero", "src/dsbo_book/problems/cleaning.py",
        'y["W1"] + y["b1"])', 'y["W1"] + y["b1"] + 1)', ("exp-cleaning",),
    ),
    (
        "network: W transposed", "src/dsbo/network/dense.py",
        "mixing.rounded(self.W, like", "mixing.rounded(self.W.T, like",
        ("dsoba", "gradient-tracking"),
    ),
    (
        "quadratic: B without its sign", "src/dsbo/problems/quadratic.py",
        "A, -Q.mT, -r)", "A, Q.mT, -r)", ("baselines", "extend", "table"),
    ),
    (
        "mdbo: tracker adds the momentum, not its change", A + "reconstructed/mdbo.py",
        "p + u - s.u, tracker", "p + u, tracker", ("baselines",),
    ),
    (
        "network: one vector of those sent is counted", "src/dsbo/network/base.py",
        "self.links * sum(row.shape[1] for row in rows)", "self.links * rows[0].shape[1]",
        ("baselines", "extend", "sparkle"),
    ),
    (
        "diamond: the exponent of the steps a half", DIAMOND,
        "alpha = Power(c_alpha, omega, 1 / 3)", "alpha = Power(c_alpha, omega, 1 / 2)",
        ("diamond", "recursive-momentum"),
    ),
    (
        "dsgd: D-SGD tracks", A + "dsgd.py",
        'Cost("d", lower_grads="inner", hvps="chain")\n    tracking: ClassVar[bool] = False',
        'Cost("d", lower_grads="inner", hvps="chain")\n    tracking: ClassVar[bool] = True',
        ("diamond", "gradient-tracking"),
    ),
    (
        "peers: rows are sent that no weight asks for", NETWORK_PEERS,
        "np.flatnonzero(part.any(axis=0))", "range(part.shape[1])", ("processes",),
    ),
    (
        "keys: the key of every round the same", "src/dsbo/keys.py",
        "key += BUMPS", "key += 0 * BUMPS", ("speed",),
    ),
    (
        "softmax: accuracy of the least likely class", "src/dsbo_book/problems/softmax.py",
        ".argmax(-1) == c", ".argmin(-1) == c", ("exp-logistic",),
    ),
)  # fmt: skip
"""Faults in package code that a page is executed with: what, file, old, new and the pages."""


FORMULAS = sorted({*(ROOT / A).rglob("[a-z]*.py")} - {ROOT / A / "base.py"})
NO_FORMULA = {"__init_subclass__", "__post_init__", "told", "calls", "init", "fits", "published"}
NO_FORMULA |= {"largest_root", "require_stable", "require_counts", "require_positive"}
"""Functions that say what a method may be given, not what it does."""


def signs(path: Path) -> Iterator[Mutant]:
    """Yield a fault for every sum and difference in the formulas of an algorithm's file."""
    text = path.read_text("utf-8")
    for function in ast.walk(ast.parse(text)):
        if not isinstance(function, ast.FunctionDef) or function.name in NO_FORMULA:
            continue
        source = ast.get_source_segment(text, function) or ""
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
                lines = source.splitlines(keepends=True)
                row, start = node.left.end_lineno, node.left.end_col_offset
                line = lines[row - 1].encode()
                old, new = ("+", "-") if isinstance(node.op, ast.Add) else ("-", "+")
                end = line.index(old.encode(), start)
                lines[row - 1] = (line[:end] + new.encode() + line[end + 1 :]).decode()
                what = f"{path.stem}, {function.name}: {new} for {old} in {lines[row - 1].strip()}"
                file = path.relative_to(ROOT).as_posix()
                yield Mutant(what, file, source, "".join(lines), (CONFORMANCE, "-k", "ten_steps"))


def page_faults() -> Iterator[Mutant]:
    """Yield the faults in cells that were found for the sections of the chapters."""
    for page, faults in yaml.safe_load((ROOT / "bench/page_faults.yml").read_text("utf-8")).items():
        for number, fault in enumerate(faults, start=1):
            what = f"{page} {number}: {fault['section']}"
            file = fault.get("file", f"book/{page}.md")
            own = fault.get("own", False)
            yield Mutant(what, file, fault["old"], fault["new"], (), page, fault["section"], own)


def every() -> list[Mutant]:
    """Return all faults, first those that a page is executed with."""
    named = [
        m._replace(page=Path(m.file).stem, tests=()) if m.file.startswith("book/") else m
        for m in MUTANTS
    ]
    across = [
        Mutant(f"{what}, on {page}", file, old, new, (), page)
        for what, file, old, new, pages in ACROSS
        for page in pages
    ]
    return [*page_faults(), *across, *named, *(m for path in FORMULAS for m in signs(path))]


def main() -> int:
    """Try every fault asked for and keep what was found."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("only", nargs="*", help="parts of paths of files with faults, or of pages")
    words.add_argument("--resume", action="store_true", help="leave out what the record has")
    given = words.parse_args()
    faults = every()
    record = Record(faults)
    chosen = [
        m
        for m in faults
        if (not given.only or any(part in m.file or part == m.page for part in given.only))
        and not (given.resume and record.has(m))
    ]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copied(copy)
        checks = sorted({mutant.tests for mutant in chosen if not mutant.page})
        for check in tqdm(checks, desc="without a fault", unit="check"):
            if by := _failing(copy, check):
                print(f"{' '.join(check)} fails without a fault: {by}", file=sys.stderr)
                return 1
        with tqdm(total=len(chosen), desc="faults", unit="fault") as bar:
            for mutant, found in _tried(copy, chosen):
                record.add(mutant, found)
                bar.update()
                caught = "caught  " if found["caught"] else "SURVIVED"
                bar.write(f"{caught}  {mutant.file:34}  {mutant.what}")
    survived = [m for m in chosen if record.has(m) and not record.found[m.what]["caught"]]
    print(f"{len(chosen) - len(survived)} of {len(chosen)} faults were caught")
    return 1 if survived else 0


class Record:
    """What was found of every fault, and how many faults the claims of each section saw."""

    def __init__(self, faults: Sequence[Mutant]) -> None:
        self.faults, self.commit = faults, commit()
        kept = json.loads(STORED.read_text("utf-8"))["faults"] if STORED.exists() else []
        self.found: dict[str, dict[str, Any]] = {told["what"]: told for told in kept}

    def has(self, mutant: Mutant) -> bool:
        """Say whether this fault, and not one that was changed since, was tried."""
        return self.found.get(mutant.what, {}).get("digest") == mutant.digest

    def add(self, mutant: Mutant, found: dict[str, Any]) -> None:
        """Keep what was found, and write everything that still concerns a fault."""
        told = {"what": mutant.what, "file": mutant.file, "page": mutant.page, "own": mutant.own}
        self.found[mutant.what] = told | found | {"digest": mutant.digest, "commit": self.commit}
        faults = [self.found[m.what] for m in self.faults if self.has(m)]
        seen = Counter((f["page"], part) for f in faults for part in f["sections"])
        pages = sorted((ROOT / "book").glob("*.md"))
        sections = {
            path.stem: {part: seen[path.stem, part] for part in parts}
            for path in pages
            if (parts := claiming(path.read_text("utf-8")))
        }
        seconds = round(sum(f["seconds"] for f in faults))
        told = {"commit": self.commit, "seeded": len(self.faults), "seconds": seconds}
        told |= {"faults": faults, "sections": sections}
        write(STORED, told)


def _tried(copy: Path, chosen: Iterable[Mutant]) -> Iterator[tuple[Mutant, dict[str, Any]]]:
    """Yield every fault and what was found: those in the cells of a page in one run of it."""
    chosen = list(chosen)
    in_cells = [m for m in chosen if m.file == f"book/{m.page}.md"]
    for page in dict.fromkeys(m.page for m in in_cells):
        yield from _forked(copy, page, [m for m in in_cells if m.page == page])
    sound = dict[str, set[str]]()
    for mutant in chosen:
        if mutant in in_cells:
            continue
        if mutant.page and mutant.page not in sound:
            sound[mutant.page] = {_text(told) for told in _failed(executed(copy, mutant.page))}
            for text in sound[mutant.page]:
                tqdm.write(f"{mutant.page}: {text} fails without a fault", file=sys.stderr)
        yield mutant, _changed(copy, mutant, sound.get(mutant.page, set()))


def _forked(
    copy: Path, page: str, faults: Sequence[Mutant]
) -> Iterator[tuple[Mutant, dict[str, Any]]]:
    """Yield what forks of one run of a page saw of faults in its cells."""
    for mutant in faults:
        if (copy / mutant.file).read_text("utf-8").count(mutant.old) != 1:
            raise ValueError(f"{mutant.what}: {mutant.old!r} is not once in {mutant.file}")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "bench/forks.py"), str(copy / f"book/{page}.md")],
        env=_environment(copy), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdin.write(json.dumps([(m.old, m.new, m.section) for m in faults]))
    process.stdin.close()
    for line in process.stdout:
        number, (sections, here, claims, errors, seconds) = json.loads(line)
        if number < 0:
            if claims:
                raise RuntimeError(f"{page} fails without a fault: {claims}")
            continue
        mutant = faults[number]
        sections += here if mutant.own else []
        caught = mutant.section in sections if mutant.section else bool(claims or errors)
        by = [text[:SHOWN] for text in (claims or errors)[:1]]
        yield (
            mutant, {"caught": caught, "by": by, "sections": sections, "seconds": seconds}
        )  # fmt: skip
    if process.wait():
        raise RuntimeError(f"{page} could not be executed")


def _changed(copy: Path, mutant: Mutant, sound: set[str]) -> dict[str, Any]:
    """Return what the tests or the page of a fault in a package found."""
    path = copy / mutant.file
    text = path.read_text("utf-8")
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.what}: {mutant.old!r} is not once in {mutant.file}")
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    started = time.perf_counter()
    try:
        if mutant.page:
            told = executed(copy, mutant.page)
            failed = [line for line in _failed(told) if _text(line) not in sound]
            sections = list(dict.fromkeys(line["section"] for line in failed))
            by = [text[:SHOWN] for text in ([_text(line) for line in failed] or told.errors)[:1]]
        else:
            by, sections = _failing(copy, mutant.tests), []
    finally:
        path.write_text(text, "utf-8")
    caught = mutant.section in sections if mutant.section else bool(by)
    seconds = round(time.perf_counter() - started, 1)
    return {"caught": caught, "by": by, "sections": sections, "seconds": seconds}


def _failed(told: Executed) -> list[dict[str, Any]]:
    return [line for line in told.claims if not line["ok"]]


def _text(told: dict[str, Any]) -> str:
    return f"{told['section']}: {told['text']}"


def _environment(copy: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}


def _failing(copy: Path, tests: tuple[str, ...]) -> list[str]:
    """Return the first test that fails; that they cannot even be collected is an error."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--doctest-modules", "-p", "no:cacheprovider",
         *tests],
        cwd=copy,
        env=_environment(copy),
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest could not run {' '.join(tests)}:\n{done.stdout}{done.stderr}")
    named = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return (named or ["a test"])[:1] if done.returncode else []


if __name__ == "__main__":
    sys.exit(main())
