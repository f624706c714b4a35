"""The problems that the experiments run on, each a function of JSON values.

So a run can say what it is of without any data at hand; a ``dataset`` is one that
`dsbo_book.data.load` knows.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from dsbo.problems import Problem
from dsbo_book import data
from dsbo_book.data import synthetic
from dsbo_book.problems import hyper_cleaning, logistic_regression, meta_learning
from dsbo_book.problems.cleaning import trusting

__all__ = ["cleaning", "dealt_logistic", "drawn_logistic", "even_logistic", "meta"]

Samples = tuple[Tensor, Tensor]
loaded = lru_cache(maxsize=1)(data.load)
"""A data set by its name, kept for the next run that asks for it."""


def cleaning(
    rate: float,
    seed: int,
    dataset: str = "fashion_mnist",
    agents: int = 10,
    train: int = 50_000,
    clean: int = 10_000,
    concentration: float = 0.1,
    hidden: int = 300,
    ridge: float = 1e-4,
    batch: int = 50,
    trust: tuple[float, float] | None = None,
) -> Problem:
    """Return the problem of cleaning labels; an agent's clean samples have its class shares.

    Parameters
    ----------
    rate : float
        Share of training labels that are corrupted.
    seed : int
        Of the deal, the corruption and the network's start.
    dataset : str
        Whose labelled samples are dealt out.
    agents, train, clean : int
        Number of agents; training and clean samples of all agents together.
    concentration : float
        Of the Dirichlet distribution of an agent's class shares; small is skewed.
    hidden, ridge, batch
        See `hyper_cleaning`.
    trust : pair of float, optional
        The x that clean and corrupted samples start from; by default 0.
    """
    source = loaded(dataset)
    pool = np.random.default_rng(seed).permutation(len(source.y_train))[: train + clean]
    shards = data.split.dirichlet(source.y_train[pool], agents, concentration, seed)
    mine, proper = np.split(pool[shards], [train // agents], axis=1)
    true = source.y_train[mine]
    given, _ = data.split.corrupt(true.ravel(), rate, source.classes, seed)
    problem = hyper_cleaning(
        train=(source.x_train[mine], given.reshape(mine.shape)),
        clean=(source.x_train[proper], source.y_train[proper]),
        test=(source.x_test, source.y_test),
        true=true,
        classes=source.classes,
        hidden=hidden,
        ridge=ridge,
        batch=batch,
        seed=seed,
        settings={"dataset": dataset, "rate": rate, "concentration": concentration},
    )
    return trusting(problem, *trust) if trust else problem


def drawn_logistic(
    heterogeneity: float,
    seed: int,
    agents: int = 20,
    features: int = 60,
    useful: int = 30,
    classes: int = 3,
    train: int = 50,
    validation: int = 50,
    test: int = 10_000,
    batch: int | None = 20,
    upper_ridge: float = 1e-3,
    first_order: bool = False,
    double: bool = False,
) -> Problem:
    """Return a logistic regression on made-up data.

    Parameters
    ----------
    heterogeneity, seed, agents, features, useful, classes
        See `synthetic.classification`.
    train, validation, test : int
        An agent's samples of the first two kinds; test samples of all agents together.
    batch, upper_ridge
        See `logistic_regression`. The slides have no ridge, and then x_r of a feature that is noise
        grows without end and makes the lower level steeper than any constant beta bears.
    first_order, double : bool
        Replace second-order products by differences of gradients; compute in double precision.
    """
    each = train + validation
    a, c = synthetic.classification(
        agents, each + test // agents, features, useful, classes, heterogeneity, seed=seed
    )
    a = a if double else a.float()
    problem = logistic_regression(
        train=(a[:, :train], c[:, :train]),
        validation=(a[:, train:each], c[:, train:each]),
        test=(a[:, each:].flatten(0, 1), c[:, each:].flatten()),
        classes=classes,
        batch=batch,
        upper_ridge=upper_ridge,
        settings={"dataset": "synthetic", "heterogeneity": heterogeneity, "seed": seed},
    )
    return problem.first_order() if first_order else problem


def dealt_logistic(
    dataset: str,
    heterogeneity: float,
    seed: int,
    components: int | None = None,
    agents: int = 20,
    train: int = 50,
    validation: int = 50,
    batch: int | None = 20,
    upper_ridge: float = 1e-3,
    first_order: bool = False,
) -> Problem:
    """Return a logistic regression on a data set that is dealt out unevenly.

    Parameters
    ----------
    dataset : str
        Whose samples are dealt out.
    heterogeneity : float
        Concentration of the Dirichlet distribution of an agent's class shares.
    seed : int
        Of the deal.
    components : int, optional
        Reduce the features to as many: principal components, and a constant one.
    agents, train, validation, batch, upper_ridge, first_order
        See `drawn_logistic`.
    """
    a, c, test, classes = _reduced(dataset, components)
    pool = np.random.default_rng(seed).permutation(len(c))
    shards = data.split.dirichlet(c[pool], agents, heterogeneity, seed)
    first, second = np.split(pool[shards[:, : train + validation]], [train], axis=1)
    problem = logistic_regression(
        train=(a[first], c[first]),
        validation=(a[second], c[second]),
        test=test,
        classes=classes,
        batch=batch,
        upper_ridge=upper_ridge,
        settings={"dataset": dataset, "heterogeneity": heterogeneity, "seed": seed},
    )
    return problem.first_order() if first_order else problem


def even_logistic(
    seed: int,
    dataset: str = "a9a",
    agents: int = 5,
    shares: tuple[float, float] = (0.4, 0.4),
    batch: int = 50,
) -> Problem:
    """Return a logistic regression whose agents all get the same share of the rows, at random.

    Parameters
    ----------
    seed : int
        Of the deal.
    dataset : str
        All of whose rows are dealt out, also those meant for tests.
    agents, batch : int
        Number of agents, and the samples of each kind that one draws in an iteration.
    shares : pair of float
        Shares of the rows that train and that validate; the rest tests.
    """
    source = loaded(dataset)
    a = torch.cat([source.x_train, source.x_test])
    c = torch.cat([source.y_train, source.y_test])
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(c)))
    taken = [int(share * len(c)) // agents * agents for share in shares]
    train, validation, test = torch.split(order, [*taken, len(c) - sum(taken)])
    train, validation = (part.reshape(agents, -1) for part in (train, validation))
    return logistic_regression(
        train=(a[train], c[train]),
        validation=(a[validation], c[validation]),
        test=(a[test], c[test]),
        classes=source.classes,
        batch=batch,
        settings={"dataset": dataset, "seed": seed},
    )


def meta(
    dataset: str,
    agents: int,
    seed: int,
    support: int = 500,
    query: int = 500,
    concentration: float = 0.5,
    hidden: int = 20,
    strength: float = 1.0,
    batch: int = 32,
) -> Problem:
    """Return the tasks of all agents; the two halves of an agent have the same class shares.

    Parameters
    ----------
    dataset : str
        Whose samples are dealt out.
    support, query : int
        An agent's samples of each kind.
    concentration : float
        Of the Dirichlet distribution of an agent's class shares.
    agents, seed, hidden, strength, batch
        See `meta_learning`.

    Raises
    ------
    ValueError
        If the data set has too few samples.
    """
    source = loaded(dataset)
    each = support + query
    pool = np.random.default_rng(seed).permutation(len(source.y_train))
    shards = data.split.dirichlet(source.y_train[pool], agents, concentration, seed)
    if shards.shape[1] < each:
        raise ValueError(
            f"{dataset} has {shards.shape[1]} samples for each of {agents} agents, not {each}"
        )
    mine = pool[shards[:, :each]]
    a, c = source.x_train[mine].flatten(2), source.y_train[mine]
    a = (a - a.mean()) / a.std()
    return meta_learning(
        support=(a[:, :support], c[:, :support]),
        query=(a[:, support:], c[:, support:]),
        classes=source.classes,
        hidden=hidden,
        strength=strength,
        batch=batch,
        seed=seed,
        settings={"dataset": dataset, "concentration": concentration},
    )


@lru_cache(maxsize=1)
def _reduced(dataset: str, components: int | None) -> tuple[Tensor, Tensor, Samples, int]:
    """Return features, labels, test samples and the number of classes, in single precision.

    Principal components are in units of the first one's spread.
    """
    source = data.load(dataset)
    a, test = source.x_train.flatten(1), source.x_test.flatten(1)
    if components is not None:
        from sklearn.decomposition import PCA  # slower to import than dsbo itself

        pca = PCA(components - 1, svd_solver="covariance_eigh").fit(a.double().numpy())
        unit = float(np.sqrt(pca.explained_variance_[0]))

        def rows(part: Tensor) -> Tensor:
            found = torch.from_numpy(pca.transform(part.double().numpy())) / unit
            return torch.cat([found, found.new_ones(len(found), 1)], dim=1)

        a, test = rows(a).float(), rows(test).float()
    return a, source.y_train, (test, source.y_test), source.classes
