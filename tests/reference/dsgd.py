"""The three methods that Qiu et al. 2023, section VI, compare with, indices repaired."""

from reference.diamond import diamond


def msgd(c, W, **settings):
    """DIAMOND whose x steps along p itself."""
    return diamond(c, W, **settings, tracking=False)


def gtsgd(c, W, **settings):
    """DIAMOND with shares of 1: nothing is remembered of an old estimate but what u tracks."""
    return diamond(c, W, **settings, eta=1, gamma=1)[:2]


def dsgd(c, W, **settings):
    """Every agent averages its neighbours' x and steps along its fresh estimate."""
    return diamond(c, W, **settings, eta=1, gamma=1, tracking=False)[:2]


SETTINGS = {"alpha": 0.1, "beta": 0.2, "K": 8, "L": 8.0}
CASES = {
    "msgd": ("MSGD", msgd, {**SETTINGS, "eta": 0.3, "gamma": 0.4}),
    "gtsgd": ("GTSGD", gtsgd, SETTINGS),
    "dsgd": ("DSGD", dsgd, SETTINGS),
    "dsgd inner": ("DSGD", dsgd, {**SETTINGS, "inner": 4}),
}
