import gc
import gzip
import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pooch
import pytest
import torch

from dsbo import data
from dsbo.data import cifar, idx, libsvm, registry
from dsbo.data.registry import DataCorrupted, DataUnavailable, Source

# pooch leaves the connection of a refused download to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
REAL = {name: [status for _, status in data.verify(name)] for name in data.NAMES}


def real(name):
    return pytest.mark.skipif(set(REAL[name]) != {"ok"}, reason=f"{name} is not on this machine")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def idx_bytes(array, code, *, shape=None):
    shape = array.shape if shape is None else shape
    return (
        bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()
    )


@pytest.mark.parametrize(
    ("code", "dtype"),
    [(8, ">u1"), (9, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_files_of_every_type_are_read(tmp_path, code, dtype, pack):
    want = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    (tmp_path / "file").write_bytes(pack(idx_bytes(want, code)))
    got = idx.read(tmp_path / "file")
    np.testing.assert_array_equal(got, want)
    assert got.dtype == np.dtype(dtype).newbyteorder("=")
    assert got.flags.writeable


FINE = idx_bytes(np.arange(6, dtype="u1").reshape(2, 3), 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not IDX: it begins with nothing"),
        (b"PK\x03\x04rest", "is not IDX: it begins with 50 4b 03 04"),
        (b"\0\0\x07\x01" + bytes(8), "is not IDX: it begins with 00 00 07 01"),
        (FINE[:7], "cut short inside its header of 12 bytes"),
        (FINE[:-1], r"has 17 bytes, but its header \(2, 3\) needs 18"),
        (FINE + b"\0", "has 19 bytes"),
        (gzip.compress(FINE)[:-9], "broken gzip file"),
        (b"\x1f\x8b" + bytes(20), "broken gzip file"),
        (gzip.compress(FINE)[:12] + bytes(30), "broken gzip file"),
        (idx_bytes(np.zeros(0, "u1"), 8, shape=(2**32 - 1,) * 4), "needs"),
    ],
)
def test_a_broken_idx_file_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "some-file").write_bytes(content)
    with pytest.raises(ValueError, match=f"some-file.*{message}"):
        idx.read(tmp_path / "some-file")


def test_libsvm_text_is_read_densely(tmp_path):
    (tmp_path / "rows").write_text("-1 2:1 5:0.25\n+1 1:-3\n")
    x, y = libsvm.read(tmp_path / "rows", features=6)
    np.testing.assert_array_equal(x, [[0, 1, 0, 0, 0.25, 0], [-3, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(y, [-1, 1])
    assert x.dtype == np.float32


@pytest.mark.parametrize("text", ["-1 7:1\n", "+1 0:1\n", "label 1:1\n", "-1 1:x\n"])
def test_broken_libsvm_text_is_refused_by_name(tmp_path, text):
    (tmp_path / "rows").write_text(text)
    with pytest.raises(ValueError, match="rows is not LIBSVM with 6 features"):
        libsvm.read(tmp_path / "rows", features=6)


def batch(n=3):
    images = np.arange(n * cifar.PIXELS, dtype=np.uint8).reshape(n, cifar.PIXELS)
    return images, pickle.dumps({b"data": images, b"labels": list(range(n))}, protocol=2)


def test_cifar_batches_are_read_once_their_checksum_matched(tmp_path):
    images, content = batch()
    (tmp_path / "batch").write_bytes(content)
    got, labels = cifar.read(tmp_path / "batch", sha256(content))
    np.testing.assert_array_equal(got, images)
    np.testing.assert_array_equal(labels, [0, 1, 2])
    assert labels.dtype == np.int64


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("touched-by-a-pickle"),)


def test_a_cifar_batch_with_another_checksum_is_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Bomb())
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(DataCorrupted, match=r"batch is corrupt: its SHA-256 is .* not read"):
        cifar.read(tmp_path / "batch", sha256(b"something else"))
    with pytest.raises(pickle.UnpicklingError, match="does not belong"):
        cifar.read(tmp_path / "batch", sha256(content))
    assert not (tmp_path / "touched-by-a-pickle").exists()


@pytest.mark.parametrize(
    "content", [{}, [1], {b"data": np.zeros((2, 5), np.uint8), b"labels": [0, 1]}]
)
def test_a_pickle_that_is_no_batch_is_refused(tmp_path, content):
    packed = pickle.dumps(content, protocol=2)
    (tmp_path / "batch").write_bytes(packed)
    with pytest.raises(ValueError, match="batch"):
        cifar.read(tmp_path / "batch", sha256(packed))


TOY = {"one": b"first file", "two": b"second file"}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty data folder and cache, and a folder that a local server publishes."""
    published, own, cache = (tmp_path / name for name in ("published", "own", "cache"))
    published.mkdir()
    monkeypatch.setenv("DSBO_DATA", str(own))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch, "os_cache", lambda _: cache)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = partial(Quiet, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        sums = {file: sha256(content) for file, content in TOY.items()}
        monkeypatch.setitem(registry.SOURCES, "toy", Source("toy", sums, address))
        yield {"published": published, "own": own, "cache": cache, "address": address}
        server.shutdown()
        thread.join()
        gc.collect()


def put(folder, contents=TOY):
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)


def no_download(*_, **__):
    raise AssertionError("nothing should be downloaded")


@pytest.mark.parametrize("where", ["own", "cache"])
def test_files_on_this_machine_are_used_without_a_download(places, where, monkeypatch):
    monkeypatch.setattr(pooch, "retrieve", no_download)
    put(places[where] / "toy")
    assert data.fetch("toy") == {file: places[where] / "toy" / file for file in TOY}
    assert data.verify("toy") == [("toy/one", "ok"), ("toy/two", "ok")]


def test_the_cache_is_used_where_no_folder_is_named(places, monkeypatch):
    monkeypatch.delenv("DSBO_DATA")
    put(places["published"])
    assert data.fetch("toy")["one"] == places["cache"] / "toy" / "one"


def test_missing_files_are_downloaded_into_the_folder_that_is_named(places):
    put(places["published"])
    put(places["cache"] / "toy", {"two": TOY["two"]})
    paths = data.fetch("toy")
    assert paths == {
        "one": places["own"] / "toy" / "one",
        "two": places["cache"] / "toy" / "two",
    }
    assert paths["one"].read_bytes() == TOY["one"]


def test_a_file_that_cannot_be_had_is_named_with_its_checksum_and_place(places):
    assert data.verify("toy") == [("toy/one", "absent"), ("toy/two", "absent")]
    with pytest.raises(DataUnavailable) as caught:
        data.fetch("toy")
    text = str(caught.value)
    assert isinstance(caught.value, OSError)
    for part in ("one is not on this machine", sha256(TOY["one"]), str(places["own"] / "toy/one")):
        assert part in text


@pytest.mark.usefixtures("places")
def test_without_a_network_the_data_are_unavailable(monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", offline)
    with pytest.raises(DataUnavailable, match="could not be reached"):
        data.fetch("toy")
    assert data.verify("toy")[0] == ("toy/one", "absent")


@pytest.mark.parametrize("content", [b"another file", b"first fil", b""])
def test_a_corrupt_file_is_an_error_and_is_not_replaced(places, content, monkeypatch):
    monkeypatch.setattr(pooch, "retrieve", no_download)
    put(places["own"] / "toy", {**TOY, "one": content})
    with pytest.raises(DataCorrupted) as caught:
        data.fetch("toy")
    for part in ("toy/one is corrupt", sha256(content), sha256(TOY["one"]), "delete it"):
        assert part in str(caught.value)
    assert data.verify("toy") == [("toy/one", "corrupt"), ("toy/two", "ok")]
    assert (places["own"] / "toy/one").read_bytes() == content


def test_a_download_that_is_not_the_published_file_is_thrown_away(places):
    put(places["published"], {**TOY, "one": b"a login page"})
    with pytest.raises(DataCorrupted, match="is not the file that was published"):
        data.fetch("toy")
    assert data.verify("toy")[0] == ("toy/one", "absent")


def archive(contents):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for file, content in contents.items():
            info = tarfile.TarInfo(f"toy/{file}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def publish_archive(places, monkeypatch, contents):
    packed = archive(contents)
    (places["published"] / "toy.tar.gz").write_bytes(packed)
    sums = {file: sha256(content) for file, content in TOY.items()}
    source = Source("toy", sums, places["address"] + "toy.tar.gz", archive=sha256(packed))
    monkeypatch.setitem(registry.SOURCES, "toy", source)


def test_members_are_unpacked_from_an_archive(places, monkeypatch):
    publish_archive(places, monkeypatch, {**TOY, "readme": b"not asked for"})
    paths = data.fetch("toy")
    assert {file: path.read_bytes() for file, path in paths.items()} == TOY
    assert sorted(p.name for p in places["own"].iterdir()) == ["toy", "toy.tar.gz"]
    assert sorted(p.name for p in (places["own"] / "toy").iterdir()) == ["one", "two"]
    monkeypatch.setattr(pooch, "retrieve", no_download)
    assert data.fetch("toy") == paths


def test_a_wrong_member_of_an_archive_is_not_put_in_place(places, monkeypatch):
    publish_archive(places, monkeypatch, {**TOY, "two": b"changed"})
    with pytest.raises(DataCorrupted, match="two is corrupt"):
        data.fetch("toy")
    assert data.verify("toy")[1] == ("toy/two", "absent")


@pytest.mark.parametrize("act", [data.fetch, data.verify])
def test_unknown_names_are_refused_with_the_known_ones(act):
    with pytest.raises(
        ValueError, match="no data set 'imagenet'; give one of mnist, fashion_mnist"
    ):
        act("imagenet")


def test_every_source_has_checksums_and_an_address():
    for source in (registry.SOURCES[name] for name in data.NAMES):
        assert all(len(s) == 64 for s in [*source.files.values(), source.archive or "0" * 64])
        assert source.address.startswith("http")
        assert source.address.endswith("/") or source.archive


def check_shape(dataset, train, test, p, classes):
    assert dataset.x_train.shape == (train, p)
    assert dataset.x_test.shape == (test, p)
    assert dataset.classes == classes
    for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)):
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        assert x.is_contiguous()
        assert (x.min(), x.max()) == (0, 1)
        assert len(x) == len(y)
        assert sorted(y.unique().tolist()) == list(range(classes))


def test_digits_come_with_the_package():
    check_shape(data.digits(), 1500, 297, 64, 10)
    torch.testing.assert_close(data.digits().x_train, data.digits().x_train)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=real(n)) for n in ("mnist", "fashion_mnist")]
)
def test_the_mnists_have_their_known_sizes(name):
    dataset = getattr(data, name)()
    check_shape(dataset, 60_000, 10_000, 784, 10)
    want = {"mnist": [5, 0, 4, 1, 9], "fashion_mnist": [9, 0, 0, 3, 0]}[name]
    assert dataset.y_train[:5].tolist() == want


@real("cifar10")
def test_cifar10_has_its_known_sizes():
    dataset = data.cifar10()
    check_shape(dataset, 50_000, 10_000, 3072, 10)
    assert dataset.y_train.bincount().tolist() == [5000] * 10
    assert dataset.y_test[:5].tolist() == [3, 8, 8, 0, 6]


@real("a9a")
def test_a9a_has_its_known_sizes():
    dataset = data.a9a()
    check_shape(dataset, 32_561, 16_281, 123, 2)
    assert dataset.y_train.sum() == 7841
    assert set(dataset.x_train.unique().tolist()) == {0, 1}
