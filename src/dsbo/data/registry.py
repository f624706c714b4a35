"""Where the data sets come from, and the checksum of every file.

A file is looked for in ``$DSBO_DATA``, then in the user's cache, then downloaded (into
``$DSBO_DATA`` if that is set, else into the cache). Its SHA-256 is compared each time: nothing is
read that is not, byte for byte, the file its makers published.

>>> NAMES
('mnist', 'fashion_mnist', 'cifar10', 'a9a')
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pooch

__all__ = ["NAMES", "DataCorrupted", "DataUnavailable", "fetch", "verify"]


class DataUnavailable(OSError):
    """A file is not on this machine and could not be downloaded."""


class DataCorrupted(OSError):
    """A file is there, but is not the one that was published."""


@dataclass(frozen=True)
class Source:
    """One data set: its files, and the address of each or of the archive that holds them.

    Attributes
    ----------
    folder : str
        Of the files, inside the data folder.
    files : dict of str to str
        File name to SHA-256.
    address : str
        Where the files lie, or the archive.
    archive : str or None
        SHA-256 of the archive; None where the files are published one by one.
    """

    folder: str
    files: dict[str, str]
    address: str
    archive: str | None = None


SOURCES = {
    "mnist": Source(
        "mnist",
        {
            "train-images-idx3-ubyte.gz": (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
            ),
            "train-labels-idx1-ubyte.gz": (
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
            ),
        },
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion_mnist": Source(
        "fashion_mnist",
        {
            "train-images-idx3-ubyte.gz": (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
            ),
            "train-labels-idx1-ubyte.gz": (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
            ),
            "t10k-images-idx3-ubyte.gz": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
            ),
        },
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    "cifar10": Source(
        "cifar-10-batches-py",
        {
            "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
            "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
            "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
            "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
            "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
            "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
            "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
        },
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        archive="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    "a9a": Source(
        "a9a",
        {
            "a9a": "f5d5ffd8d865ff41328e7ee043e4b020816914ff6843ff15b98905ddbedce906",
            "a9a.t": "1f448a153f0320399a7e40836eb207655b0bde0f21fc941cc472193daa9f5de9",
        },
        "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/",
    ),
}
NAMES = tuple(SOURCES)


def fetch(name: str) -> dict[str, Path]:
    """Return the verified files of a data set, downloading what is missing.

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
        If a file is missing and the download fails; says where to put it by hand.
    DataCorrupted
        If a file, found or downloaded, has another checksum.
    ValueError
        If the name is not one of `NAMES`.

    Examples
    --------
    >>> fetch("imagenet")
    Traceback (most recent call last):
    ...
    ValueError: no data set 'imagenet'; give one of mnist, fashion_mnist, cifar10, a9a
    """
    source = _source(name)
    paths = {file: _find(source, file) for file in source.files}
    missing = [file for file, path in paths.items() if path is None]
    if missing and source.archive:
        _download_archive(source, missing)
    elif missing:
        for file in missing:
            _download(source, file, source.address + file, source.files[file], _target(source))
    found: dict[str, Path] = {}
    for file, path in paths.items():
        found[file] = path or _target(source) / file
        _require_checksum(found[file], source.files[file])
    return found


def verify(name: str) -> list[tuple[str, str]]:
    """Compare what is on this machine with the checksums; nothing is downloaded.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    list of (str, str)
        Relative path of each file, and ``"ok"``, ``"absent"`` or ``"corrupt"``.

    Examples
    --------
    >>> [file for file, status in verify("a9a")]
    ['a9a/a9a', 'a9a/a9a.t']
    """
    source = _source(name)
    report = []
    for file, sha256 in source.files.items():
        path = _find(source, file)
        status = "absent" if path is None else "ok" if _sha256(path) == sha256 else "corrupt"
        report.append((f"{source.folder}/{file}", status))
    return report


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise ValueError(f"no data set {name!r}; give one of {', '.join(NAMES)}")
    return SOURCES[name]


def _folders() -> list[Path]:
    """Return the data folders in the order of search; downloads go to the first."""
    own = os.environ.get("DSBO_DATA")
    return ([Path(own).expanduser()] if own else []) + [Path(pooch.os_cache("dsbo"))]


def _target(source: Source) -> Path:
    return _folders()[0] / source.folder


def _find(source: Source, file: str) -> Path | None:
    places = [folder / source.folder / file for folder in _folders()]
    return next((place for place in places if place.is_file()), None)


def _sha256(path: Path) -> str:
    return str(pooch.file_hash(str(path), alg="sha256"))


def _require_checksum(path: Path, sha256: str) -> None:
    if (got := _sha256(path)) != sha256:
        raise DataCorrupted(
            f"{path} is corrupt: its SHA-256 is {got}, not {sha256}; "
            "delete it, so that it is downloaded again, or put the original there"
        )


def _download(source: Source, file: str, address: str, sha256: str, folder: Path) -> Path:
    try:
        return Path(pooch.retrieve(address, f"sha256:{sha256}", file, folder, progressbar=True))
    except ValueError as error:
        raise DataCorrupted(
            f"{address} is not the file that was published (SHA-256 {sha256}), and was thrown "
            f"away; try again, or put the original at {_target(source) / file}"
        ) from error
    except OSError as error:
        raise DataUnavailable(
            f"{file} is not on this machine and {address} could not be reached; get it (SHA-256 "
            f"{sha256}) and put it at {_target(source) / file}, or set DSBO_DATA to a folder "
            f"that holds {source.folder}/{file}"
        ) from error


def _download_archive(source: Source, missing: list[str]) -> None:
    """Unpack the missing members aside, then move each into place once it is verified."""
    target = _target(source)
    name = source.address.rsplit("/", 1)[-1]
    archive = _download(source, name, source.address, source.archive or "", target.parent)
    target.mkdir(parents=True, exist_ok=True)
    members = [f"{source.folder}/{file}" for file in missing]
    with tempfile.TemporaryDirectory(dir=target.parent) as aside:
        unpacked = pooch.Untar(members=members, extract_dir=aside)(str(archive), "download", None)
        for path in map(Path, unpacked):
            _require_checksum(path, source.files[path.name])
            path.replace(target / path.name)
