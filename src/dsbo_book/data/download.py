"""Download originals: with a bar, going on after an interruption, and only whole and verified.

Nothing else in the package downloads.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import requests
import urllib3
from filelock import FileLock, Timeout
from tqdm import tqdm

from dsbo_book.data.formats import member
from dsbo_book.data.registry import (
    DataCorrupted,
    DataUnavailable,
    Source,
    by_hand,
    find,
    folders,
    sha256_of,
    source_of,
    verified,
    whereabouts,
)

__all__ = ["fetch"]

SILENCE = 30
"""Seconds without a byte after which a server is given up."""
PIECE = 1 << 14
OF_PROXIES = (
    requests.ConnectionError,
    requests.exceptions.InvalidURL,
    urllib3.exceptions.LocationParseError,
    urllib3.exceptions.ProxySchemeUnknown,
)
"""What is raised where there is no way through a proxy, or its address is none."""


def fetch(name: str, mirror: str | None = None) -> dict[str, Path]:
    """Return the verified originals of a data set, downloading what is missing.

    What has arrived of a file is beside its place, in ``<file>.part``, until the file is whole; the
    next call goes on from there. There is a progress bar on a terminal.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    mirror : str, optional
        Address under which the files lie as in the data folder, ``<folder>/<file>``, to take them
        from instead of from their makers.

    Returns
    -------
    dict of str to pathlib.Path
        File name to where it lies.

    Raises
    ------
    DataUnavailable
        If a server cannot be reached, refuses or falls silent, or the folder cannot be written;
        what has arrived is kept.
    DataCorrupted
        If a file has another checksum; one that was downloaded is thrown away.
    ValueError
        If the name is not one of `NAMES`.
    """
    source = source_of(name)
    if all(whereabouts(source, file) for file in source.files):
        return find(name)  # nothing is to be written, so the folder may be read-only
    folder = folders()[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{source.folder}.lock", timeout=0):
            missing = [file for file in source.files if whereabouts(source, file) is None]
            if missing and source.archive and mirror is None:
                _unpack(source, missing, folder)
            else:
                start = (
                    source.address if mirror is None else f"{mirror.rstrip('/')}/{source.folder}/"
                )
                for file in missing:
                    target, how = folder / source.folder / file, by_hand(source, file)
                    _download(start + file, target, source.files[file], how)
    except Timeout as error:
        raise DataUnavailable(f"another process is fetching {name} into {folder}") from error
    except (DataCorrupted, DataUnavailable):
        raise
    except OSError as error:
        raise DataUnavailable(
            f"{name} could not be written into {folder}: {error.strerror or error}; what has "
            "arrived is kept. Free some space, or set DSBO_DATA to another folder"
        ) from error
    return find(name)


def _unpack(source: Source, missing: list[str], folder: Path) -> None:
    """Download the archive and put its missing members in place, each once it is verified."""
    archive = folder / source.address.rsplit("/", 1)[-1]
    sha256, ours = source.archive or "", not archive.is_file()
    if ours:
        _download(source.address, archive, sha256, by_hand(source, missing[0]))
    verified(archive, sha256)
    for file in missing:
        content = member(archive, f"{source.folder}/{file}")
        part = folder / source.folder / f"{file}.part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        verified(part, source.files[file]).replace(part.with_name(file))
    if ours:
        archive.unlink()


def _download(address: str, target: Path, sha256: str, otherwise: str) -> None:
    """Bring what lies at an address to its place; ``otherwise`` says what to do if that fails."""
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        _receive(address, part)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        kept = part.stat().st_size if part.exists() else 0
        goes_on = f" {kept} bytes of it are kept; the same command goes on." if kept else ""
        through, remedy = _proxy(address, error)
        raise DataUnavailable(
            f"{target.name} could not be downloaded from {address}{through}: {_cause(error)}."
            f"{remedy}{goes_on} {otherwise}"
        ) from error
    if (got := sha256_of(part)) != sha256:
        part.unlink()
        raise DataCorrupted(
            f"{address} is not the file that was published: its SHA-256 is {got}, not {sha256}. "
            f"It was thrown away; try again. {otherwise}"
        )
    part.replace(target)


def _receive(address: str, part: Path) -> None:
    """Append to ``part`` what the server still has."""
    have = part.stat().st_size if part.exists() else 0
    wish = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _asked(address, wish) as answer:
        if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return  # there is no more; whether it is whole, the checksum tells
        answer.raise_for_status()
        if answer.status_code != requests.codes.partial_content:
            have = 0  # the server knows no ranges and sends all of it
        length = answer.headers.get("Content-Length", "")
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(
                desc=part.stem,
                initial=have,
                total=have + int(length) if length.isdigit() else None,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            # As it was sent: a server may say that what is published compressed is an encoding.
            for piece in answer.raw.stream(PIECE, decode_content=False):
                file.write(piece)
                bar.update(len(piece))


def _asked(address: str, wish: dict[str, str]) -> requests.Response:
    """Ask a server; whatever keeps it from answering is a RequestException."""
    try:
        return requests.get(address, headers=wish, stream=True, timeout=SILENCE)
    except requests.RequestException:
        raise
    except OSError as error:  # such as a file of certificates that is missing
        raise requests.RequestException(str(error)) from error


def _proxy(address: str, error: Exception) -> tuple[str, str]:
    """Say which proxy was asked, and what to do; nothing if the error is none that proxies make."""
    known = requests.utils.get_environ_proxies(address)
    proxy = requests.utils.select_proxy(address, known)
    socks = isinstance(error, requests.exceptions.InvalidSchema) and "SOCKS" in str(error)
    ours = isinstance(error, requests.exceptions.InvalidURL) and address in str(error)
    if not proxy or ours or not (socks or isinstance(error, OF_PROXIES)):
        return "", ""
    named = (k for k, v in os.environ.items() if v == proxy and k.lower().endswith("_proxy"))
    variable = next(named, "the system's settings")
    remedy = "Run pip install 'requests[socks]'" if socks else "Correct that"
    shown = re.sub("//[^/]*@", "//…@", proxy)  # without a password
    return f" through the proxy {shown} of {variable}", f" {remedy}, or unset {variable}."


def _cause(error: BaseException) -> str:
    """Return the innermost cause, which is what a reader can act on."""
    inner = [getattr(error, "reason", None), *error.args]
    deeper = next((one for one in inner if isinstance(one, BaseException)), None)
    told = next((one for one in inner if isinstance(one, str)), str(error))
    return _cause(deeper) if deeper else told.rstrip(".")
