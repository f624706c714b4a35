"""Read LIBSVM text: a line is ``label index:value index:value …`` with indices from 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["read"]


def read(path: str | Path, features: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    r"""Return the dense features and the labels as written.

    Parameters
    ----------
    path : path-like
        The file.
    features : int
        Number of features p; a file may not name its last ones.

    Returns
    -------
    x : ndarray, float32, [n, p]
        Zero where a line does not name the feature.
    y : ndarray, float64, [n]
        Labels.

    Raises
    ------
    ValueError
        If a line is not LIBSVM, or has an index above `features`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "two"
    ...     _ = file.write_text("-1 1:0.5\n+1 3:2\n")
    ...     read(file, features=3)
    (array([[0.5, 0. , 0. ],
           [0. , 0. , 2. ]], dtype=float32), array([-1.,  1.]))
    """
    from sklearn.datasets import load_svmlight_file  # slower to import than dsbo itself

    try:
        x, y = load_svmlight_file(
            str(path), n_features=features, dtype=np.float32, zero_based=False
        )
    except ValueError as error:
        raise ValueError(f"{path} is not LIBSVM with {features} features: {error}") from error
    return x.toarray(), np.asarray(y, dtype=np.float64)
