"""Where the data sets come from, and the checksum of every file.

An original is looked for in ``$DSBO_DATA``, then in the user's cache. Samples of the
originals come with the package, in the folder ``samples``; of a9a all rows do. A file's SHA-256
is compared each time: nothing is read that is not, byte for byte, what was published.

>>> NAMES
('mnist', 'fashion_mnist', 'cifar10', 'a9a', 'masc')
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NAMES", "DataCorrupted", "DataUnavailable", "find", "samples", "verify"]

SAMPLES = Path(__file__).parent / "samples"


class DataUnavailable(OSError):
    """A file is not on this machine, or could not be downloaded."""


class DataCorrupted(OSError):
    """A file is there, but is not the one that was published."""


@dataclass(frozen=True)
class Source:
    """One data set, as ``samples/sources.json`` tells of it.

    Attributes
    ----------
    title, makers, homepage : str
        What it is, whose, and where they write about it.
    licence : str or None
        SPDX name; None where the makers give none.
    folder : str
        Of the originals, inside the data folder.
    address : str
        Where the originals lie, or the archive that holds them.
    archive : str or None
        SHA-256 of the archive; None where the files are published one by one.
    files : dict of str to str
        SHA-256 of each original.
    sample : str
        How much comes with the package.
    sample_files : dict of str to str
        SHA-256 of each file of it.
    """

    title: str
    makers: str
    homepage: str
    licence: str | None
    folder: str
    address: str
    archive: str | None
    files: dict[str, str]
    sample: str
    sample_files: dict[str, str]


SOURCES = {
    name: Source(**told)
    for name, told in json.loads((SAMPLES / "sources.json").read_text("utf-8")).items()
}
NAMES = tuple(SOURCES)


def find(name: str) -> dict[str, Path]:
    """Return the verified originals of a data set; nothing is downloaded.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    dict of str to pathlib.Path
        File name to where it lies.

    Raises
    ------
    DataUnavailable
        If a file is missing or cannot be read; says how to get it, and where to put it by hand.
    DataCorrupted
        If a file has another checksum.
    ValueError
        If the name is not one of `NAMES`.

    Examples
    --------
    >>> find("imagenet")
    Traceback (most recent call last):
    ...
    ValueError: no data set 'imagenet'; give one of mnist, fashion_mnist, cifar10, a9a, masc
    """
    source = source_of(name)
    found = {}
    for file, sha256 in source.files.items():
        path = whereabouts(source, file)
        if path is None:
            raise DataUnavailable(
                f"{file} is not on this machine. Get it with: dsbo data fetch {name}. "
                + by_hand(source, file)
            )
        found[file] = verified(path, sha256)
    return found


def samples(name: str) -> dict[str, Path]:
    """Return the verified files of the sample that comes with the package.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    dict of str to pathlib.Path
        File name to where it lies.

    Raises
    ------
    DataUnavailable
        If there is no sample, as of CIFAR-10, or it was left out of this one.
    DataCorrupted
        If a file has another checksum.
    ValueError
        If the name is not one of `NAMES`.

    Examples
    --------
    >>> sorted(samples("a9a"))
    ['a9a.bz2', 'a9a.t.bz2']
    """
    source = source_of(name)
    folder = SAMPLES / name
    if not source.sample_files or not folder.is_dir():
        why = f"{folder} is missing" if source.sample_files else source.sample
        raise DataUnavailable(
            f"no sample of {source.title} comes with the package ({why}). "
            f"The original can be had: dsbo data fetch {name}"
        )
    return {file: verified(folder / file, sha) for file, sha in source.sample_files.items()}


def verify(name: str) -> list[tuple[str, str]]:
    """Compare what is on this machine with the checksums; nothing is downloaded.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    list of (str, str)
        Relative path of each file, the sample's among them, and ``"ok"``, ``"absent"`` or
        ``"corrupt"``.

    Raises
    ------
    DataUnavailable
        If the data folder or a file in it cannot be read.

    Examples
    --------
    >>> verify("a9a")[-1]
    ('samples/a9a/a9a.t.bz2', 'ok')
    """
    source = source_of(name)
    placed = [
        (f"{source.folder}/{file}", whereabouts(source, file), sha256)
        for file, sha256 in source.files.items()
    ]
    for file, sha256 in source.sample_files.items():
        path = SAMPLES / name / file
        placed.append((f"samples/{name}/{file}", path if path.is_file() else None, sha256))
    return [
        (told, "absent" if path is None else "ok" if sha256_of(path) == sha256 else "corrupt")
        for told, path, sha256 in placed
    ]


def folders() -> list[Path]:
    """Return the data folders in the order of search; downloads go to the first."""
    own = os.path.expanduser(os.environ.get("DSBO_DATA", ""))  # noqa: PTH111 (never raises)
    import platformdirs  # which the command `list` does without

    return ([Path(own)] if own else []) + [platformdirs.user_cache_path("dsbo")]


def source_of(name: str) -> Source:
    """Return what is known of a data set, or say which there are."""
    if name not in SOURCES:
        raise ValueError(f"no data set {name!r}; give one of {', '.join(NAMES)}")
    return SOURCES[name]


def whereabouts(source: Source, file: str) -> Path | None:
    """Return where an original lies on this machine, if it does.

    Raises
    ------
    DataUnavailable
        If it cannot be looked for in the folder that downloads go to.
    """
    folder, *more = folders()
    first, *others = (place / source.folder / file for place in (folder, *more))
    try:
        found = [first] if _is_file(first) else []
    except OSError as error:
        a_file = isinstance(error, NotADirectoryError) and folder.is_file()
        why = "it is a file" if a_file else f"{first}: {error.strerror}"
        raise DataUnavailable(
            f"the data folder {folder} cannot be read: {why}. "
            "Set DSBO_DATA to a folder that can be, or unset it"
        ) from error
    for place in others:
        with contextlib.suppress(OSError):  # the cache of another user is none of ours
            found += [place] if _is_file(place) else []
    return found[0] if found else None


def _is_file(path: Path) -> bool:
    """Say whether a file is there, and raise an OSError if that cannot be seen."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def by_hand(source: Source, file: str) -> str:
    """Say how to do without a download of an original."""
    return (
        f"By hand: put the file whose SHA-256 is {source.files[file]} at "
        f"{folders()[0] / source.folder / file}, or set DSBO_DATA to a folder that holds "
        f"{source.folder}/{file}"
    )


def sha256_of(path: Path) -> str:
    """Return the checksum of a file; raise DataUnavailable if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataUnavailable(
            f"{path} cannot be read: {error.strerror}. Give it another mode, or set DSBO_DATA to a "
            "folder with a copy that can"
        ) from error


def verified(path: Path, sha256: str) -> Path:
    """Return the path if the file has this checksum; raise DataCorrupted if it has not."""
    if (got := sha256_of(path)) != sha256:
        raise DataCorrupted(
            f"{path} is corrupt: its SHA-256 is {got}, not {sha256}; "
            "delete it and fetch it again, or put the original there"
        )
    return path
