"""Made-up classification tasks whose heterogeneity is a number."""

import numpy as np
import pytest
import torch

from dsbo_book.data import synthetic


def draw(**changes):
    settings = {"features": 6, "useful": 3, "classes": 3, "heterogeneity": 0.5, "seed": 1}
    return synthetic.classification(4, 2000, **{**settings, **changes})


def test_features_have_the_promised_variances_and_labels_their_range():
    a, c = draw()
    assert a.shape == (4, 2000, 6)
    assert set(c.unique().tolist()) == {0, 1, 2}
    variances = np.sort(a.flatten(0, 1).var(0).numpy())[::-1]
    np.testing.assert_allclose(variances, np.arange(1, 7) ** -0.5, rtol=0.05)


def best_classifier(a, c, classes=3):
    hot = torch.nn.functional.one_hot(c, classes).double()
    return torch.linalg.lstsq(a, hot - 1 / classes).solution


def test_only_useful_features_say_anything_about_labels():
    a, c = draw(heterogeneity=0.0)
    weight = best_classifier(a.flatten(0, 1), c.flatten()).norm(dim=1)
    assert weight[:3].min() > 4 * weight[3:].max()


def test_heterogeneity_is_how_much_the_agents_rules_differ():
    spreads = []
    for h in (0.0, 0.5, 2.0):
        a, c = draw(heterogeneity=h)
        rules = torch.stack([best_classifier(*pair)[:3] for pair in zip(a, c, strict=True)])
        spreads.append(float((rules - rules.mean(0)).norm() / rules.mean(0).norm()))
    assert 2 * spreads[0] < spreads[1] < spreads[2] / 2


def test_flips_spoil_labels():
    a, clean = draw(flips=0.0)
    _, spoilt = draw(flips=0.3)
    assert float((clean != spoilt).double().mean()) == pytest.approx(0.3 * 2 / 3, abs=0.03)
    assert torch.equal(draw()[0], a)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"useful": 7}, "useful"),
        ({"heterogeneity": -1.0}, "heterogeneity"),
        ({"flips": 2}, "flips"),
    ],
)
def test_a_task_that_cannot_be_drawn_is_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        draw(**changes)
