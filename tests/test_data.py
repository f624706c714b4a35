import bz2
import gzip
import hashlib
import http.server
import io
import lzma
import os
import pickle
import re
import struct
import sys
import tarfile
import threading
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch

from dsbo_book import data
from dsbo_book.cli import main
from dsbo_book.data import formats, registry
from dsbo_book.data.download import fetch
from dsbo_book.data.registry import DataCorrupted, DataUnavailable
from dsbo_book.experiments import tasks


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_idx_files_are_read_in_their_shape(tmp_path, suffix, pack):
    want = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", *want.shape)
    (tmp_path / f"file.{suffix}").write_bytes(pack(head + want.tobytes()))
    got = formats.idx(tmp_path / f"file.{suffix}")
    np.testing.assert_array_equal(got, want)
    assert got.flags.writeable


def test_libsvm_text_is_read_densely(tmp_path):
    (tmp_path / "rows").write_text("-1 2:1 5:0.25\n+1 1:-3\n")
    x, y = formats.libsvm(tmp_path / "rows", 6)
    np.testing.assert_array_equal(x, [[0, 1, 0, 0, 0.25, 0], [-3, 0, 0, 0, 0, 0]])
    np.testing.assert_array_equal(y, [-1, 1])
    assert x.dtype == np.float32


def test_cifar_batches_are_read_once_their_checksum_matched(tmp_path):
    images = np.arange(3 * 3072, dtype=np.uint8).reshape(3, 3072)
    content = pickle.dumps({b"data": images, b"labels": [0, 1, 2]}, protocol=2)
    (tmp_path / "batch").write_bytes(content)
    got, labels = formats.cifar(tmp_path / "batch", sha256(content))
    np.testing.assert_array_equal(got, images)
    np.testing.assert_array_equal(labels, [0, 1, 2])


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("touched-by-a-pickle"),)


def test_a_cifar_batch_with_another_checksum_is_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataCorrupted, match=r"batch is corrupt: its SHA-256 is .* delete it"):
        formats.cifar(tmp_path / "batch", sha256(b"something else"))
    assert not (tmp_path / "touched-by-a-pickle").exists()


TOY = {"one": b"first file", "two": b"second file"}


class Server(http.server.BaseHTTPRequestHandler):
    """Publishes a folder; knows ranges, and breaks off after ``cut`` bytes if that is set."""

    folder, cut, ranges, asked = Path(), None, True, []

    def do_GET(self):
        self.asked.append(self.headers["Range"])
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            return self.send_error(404)
        content, start = path.read_bytes(), 0
        if self.ranges and self.headers["Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.cut])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty data folder and cache, and a folder that a local server publishes."""
    published, own, cache = (tmp_path / name for name in ("published", "own", "cache"))
    published.mkdir()
    monkeypatch.setenv("DSBO_DATA", str(own))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: cache)
    handler = type("Handler", (Server,), {"folder": published, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setitem(registry.SOURCES, "toy", toy(address))
        yield Namespace(published=published, own=own, cache=cache, address=address, server=handler)
        server.shutdown()
        thread.join()


def toy(address, archive=None):
    sums = {file: sha256(content) for file, content in TOY.items()}
    return registry.Source("Toy", "we", "here", None, "toy", address, archive, sums, "none", {})


def put(folder, contents=TOY):
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)


@pytest.mark.parametrize("where", ["own", "cache"])
def test_files_on_this_machine_are_used_without_a_download(places, where):
    put(getattr(places, where) / "toy")
    want = {file: getattr(places, where) / "toy" / file for file in TOY}
    assert fetch("toy") == data.find("toy") == want
    assert data.verify("toy") == [("toy/one", "ok"), ("toy/two", "ok")]
    assert not places.server.asked


def test_the_cache_is_used_where_no_folder_is_named(places, monkeypatch):
    monkeypatch.delenv("DSBO_DATA")
    put(places.published)
    assert fetch("toy")["one"] == places.cache / "toy" / "one"


def test_missing_files_are_downloaded_into_the_folder_that_is_named(places):
    put(places.published)
    put(places.cache / "toy", {"two": TOY["two"]})
    paths = fetch("toy")
    assert paths == {"one": places.own / "toy" / "one", "two": places.cache / "toy" / "two"}
    assert paths["one"].read_bytes() == TOY["one"]
    assert [path.name for path in (places.own / "toy").iterdir()] == ["one"]


@pytest.mark.parametrize("known", [("",), ("toy.tar.gz", "0" * 64)], ids=["files", "archive"])
def test_a_mirror_is_asked_for_every_file_instead_of_the_makers(places, monkeypatch, known):
    address, *archive = known
    monkeypatch.setitem(registry.SOURCES, "toy", toy(f"http://127.0.0.1:9/{address}", *archive))
    put(places.published / "toy")
    assert set(fetch("toy", places.address)) == set(TOY)


@pytest.mark.parametrize("act", [data.find, fetch])
def test_a_file_that_cannot_be_had_is_named_with_its_checksum_and_place(places, act):
    assert data.verify("toy") == [("toy/one", "absent"), ("toy/two", "absent")]
    with pytest.raises(DataUnavailable) as caught:
        act("toy")
    text = str(caught.value)
    assert isinstance(caught.value, OSError)
    for part in ("one", sha256(TOY["one"]), str(places.own / "toy/one"), "By hand", "DSBO_DATA"):
        assert part in text
    assert ("dsbo data fetch toy" if act is data.find else "404") in text
    assert bool(places.server.asked) == (act is fetch)


@pytest.mark.usefixtures("places")
def test_a_server_that_does_not_answer_is_named_with_the_reason(monkeypatch):
    monkeypatch.setitem(registry.SOURCES, "toy", toy("http://127.0.0.1:9/"))
    with pytest.raises(DataUnavailable, match=r"from http://127.0.0.1:9/one: .*refused"):
        fetch("toy")
    assert data.verify("toy")[0] == ("toy/one", "absent")


PROXIES = {
    "socks5://127.0.0.1:9": r"Missing dependencies for SOCKS.* Run pip install 'requests\[socks\]'",
    "socks4a://127.0.0.1:9": "Missing dependencies for SOCKS",
    "http://me:secret@127.0.0.1:9": "refused.* Correct that",
    "http://": "check proxy URL.* Correct that",
    "ftp://127.0.0.1:9": "unsupported scheme ftp.* Correct that",
    "http://a..b": "label empty or too long.* Correct that",
    "http://127.0.0.1:99999": "Failed to parse.* Correct that",
    ":::": "Failed to parse.* Correct that",
}


@pytest.mark.parametrize("variable", ["ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_that_does_not_work_is_told_as_that(places, monkeypatch, variable, proxy):
    for name in [key for key in os.environ if key.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, proxy)
    monkeypatch.setitem(sys.modules, "socks", None)  # as where PySocks is not installed
    shown = re.escape(proxy.replace("me:secret", "…"))
    told = rf"through the proxy {shown} of {variable}: .*{PROXIES[proxy]}.*, or unset {variable}\."
    with pytest.raises(DataUnavailable, match=told) as caught:
        fetch("toy")
    assert "secret" not in str(caught.value)
    assert not places.server.asked


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    "mirror", ["there", "", "ftp://there", "http://:80", "http://127.0.0.1:99999"]
)
def test_a_mirror_that_is_none_is_told_as_that(mirror, monkeypatch):
    monkeypatch.delenv("NO_PROXY")
    for proxy in ("", "http://127.0.0.1:9"):
        monkeypatch.setenv("ALL_PROXY", proxy)
        with pytest.raises(DataUnavailable, match=f"one could not be down.* from {mirror}") as told:
            fetch("toy", mirror)
        assert "proxy" not in str(told.value)


@pytest.mark.usefixtures("places")
def test_a_file_of_certificates_that_is_missing_is_not_told_as_a_full_disk(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(DataUnavailable, match=r"could not be downloaded .*: /nowhere\.pem\. By"):
        fetch("toy", "https://127.0.0.1:9")


USES = {
    "find": data.find,
    "fetch": fetch,
    "verify": data.verify,
    "load": data.load,
    "the task of an experiment": lambda name: tasks.cleaning(0.2, 0, name),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file", "cannot be read: it is a file"),
        ("file/deep", "cannot be read: .*Not a directory"),
        ("itself", "cannot be read: .*symbolic links"),
        ("dark", "cannot be read: .*Permission denied"),
        ("dark/deep", "cannot be read: .*Permission denied"),
        ("dark-inside", "cannot be read: .*Permission denied"),
    ],
)
def test_a_data_folder_that_is_none_is_told_as_that(bound, monkeypatch, place, why, use):
    (bound / "file").write_text("no folder")
    (bound / "itself").symlink_to("itself")
    dark = [bound / "dark", bound / "dark-inside" / registry.SOURCES["mnist"].folder]
    for folder in dark:
        folder.mkdir(parents=True)
        folder.chmod(0)
    monkeypatch.setenv("DSBO_DATA", str(bound / place))
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: bound / "none")
    try:
        with pytest.raises(DataUnavailable, match=f"folder {bound / place} {why}.* Set DSBO_DATA"):
            USES[use]("mnist")
        assert main(["data", "verify", "mnist"]) == 1
    finally:
        for folder in dark:
            folder.chmod(0o700)


def test_an_original_that_cannot_be_read_is_told_as_that(places, bound, monkeypatch):
    monkeypatch.setenv("DSBO_DATA", str(bound))
    put(bound / "toy")
    (bound / "toy/two").chmod(0)
    for act in (data.find, fetch, data.verify):
        with pytest.raises(DataUnavailable, match=r"toy/two cannot be read: Permission denied\."):
            act("toy")
    assert not places.server.asked


def test_whole_originals_in_a_folder_that_is_read_only_need_no_download(places, bound, monkeypatch):
    monkeypatch.setenv("DSBO_DATA", str(bound))
    put(bound / "toy")
    bound.chmod(0o500)
    assert fetch("toy") == data.find("toy")
    (bound / "toy/two").unlink()
    with pytest.raises(DataUnavailable, match=f"toy could not be written into {bound}: Permission"):
        fetch("toy")
    assert not places.server.asked


def test_a_cache_that_cannot_be_read_is_passed_over(places, bound, monkeypatch):
    (bound / "cache").mkdir(0)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: bound / "cache")
    monkeypatch.setenv("DSBO_DATA", str(bound / "own"))
    places.server.folder = bound / "published"
    put(places.server.folder)
    assert data.verify("toy")[0] == ("toy/one", "absent")
    assert fetch("toy")["one"] == bound / "own/toy/one"


def test_a_download_that_broke_off_goes_on_where_it_stopped(places):
    long = bytes(range(256)) * 200
    registry.SOURCES["toy"].files["one"] = sha256(long)
    put(places.published, {**TOY, "one": long})
    places.server.cut = 20_000
    with pytest.raises(DataUnavailable, match=r"Incomplete.* 20000 bytes of it are kept; the"):
        fetch("toy")
    assert data.verify("toy")[0] == ("toy/one", "absent")
    places.server.cut = None
    assert fetch("toy")["one"].read_bytes() == long
    assert places.server.asked[:2] == [None, "bytes=20000-"]


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("left", [b"", TOY["one"][:3], TOY["one"]])
def test_what_is_left_of_a_download_is_used_and_no_byte_twice(places, ranges, left):
    put(places.published)
    put(places.own / "toy", {"one.part": left})
    places.server.ranges = ranges
    assert fetch("toy")["one"].read_bytes() == TOY["one"]


@pytest.mark.parametrize("content", [b"another file", b"first fil", b""])
def test_a_corrupt_file_is_an_error_and_is_not_replaced(places, content):
    put(places.own / "toy", {**TOY, "one": content})
    for act in (data.find, fetch):
        with pytest.raises(DataCorrupted) as caught:
            act("toy")
        for part in ("toy/one is corrupt", sha256(content), sha256(TOY["one"]), "delete it"):
            assert part in str(caught.value)
    assert data.verify("toy") == [("toy/one", "corrupt"), ("toy/two", "ok")]
    assert (places.own / "toy/one").read_bytes() == content
    assert not places.server.asked


@pytest.mark.parametrize("left", [b"", b"other"])
def test_a_download_that_is_not_the_published_file_is_thrown_away(places, left):
    put(places.published, {**TOY, "one": b"a login page"})
    put(places.own / "toy", {"one.part": left})
    with pytest.raises(DataCorrupted, match="is not the file that was published"):
        fetch("toy")
    assert not list((places.own / "toy").iterdir())


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
    (places.published / "toy.tar.gz").write_bytes(packed)
    source = toy(places.address + "toy.tar.gz", sha256(packed))
    monkeypatch.setitem(registry.SOURCES, "toy", source)


def test_members_are_unpacked_from_an_archive(places, monkeypatch):
    publish_archive(places, monkeypatch, {**TOY, "readme": b"not asked for"})
    paths = fetch("toy")
    assert {file: path.read_bytes() for file, path in paths.items()} == TOY
    assert sorted(p.name for p in places.own.glob("[!.]*")) == ["toy"]
    assert sorted(p.name for p in (places.own / "toy").iterdir()) == ["one", "two"]
    assert fetch("toy") == paths
    assert len(places.server.asked) == 1


def test_a_wrong_member_of_an_archive_is_not_put_in_place(places, monkeypatch):
    publish_archive(places, monkeypatch, {**TOY, "two": b"changed"})
    with pytest.raises(DataCorrupted, match=r"two\.part is corrupt"):
        fetch("toy")
    assert data.verify("toy")[1] == ("toy/two", "absent")


@pytest.mark.parametrize("act", [fetch, data.find, data.load, data.samples, data.verify])
def test_unknown_names_are_refused_with_the_known_ones(act):
    with pytest.raises(
        ValueError, match="no data set 'imagenet'; give one of mnist, fashion_mnist"
    ):
        act("imagenet")


def test_every_source_has_checksums_an_address_and_says_whose_it_is():
    for source in (registry.SOURCES[name] for name in data.NAMES):
        sums = [*source.files.values(), *source.sample_files.values(), source.archive or "0" * 64]
        assert all(len(s) == 64 for s in sums)
        assert source.address.startswith("http")
        assert source.address.endswith("/") or source.archive
        assert source.makers
        assert source.homepage.startswith("http")
        assert source.licence or not source.sample_files, "no licence to pass it on"


@pytest.mark.parametrize(
    ("name", "train", "test", "p", "classes"),
    [
        ("mnist", 3600, 400, 784, 10),
        ("fashion_mnist", 5000, 500, 784, 10),
        ("a9a", 32_561, 16_281, 123, 2),
    ],
)
def test_samples_come_with_the_package_classes_in_proportion(name, train, test, p, classes):
    sample = data.load(f"{name}-sample")
    assert sample.x_train.shape == (train, p)
    assert sample.x_test.shape == (test, p)
    assert sample.classes == classes
    for x, y in ((sample.x_train, sample.y_train), (sample.x_test, sample.y_test)):
        assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
        assert x.is_contiguous()
        assert (x.min(), x.max()) == (0, 1)
        assert len(x) == len(y)
        assert sorted(y.unique().tolist()) == list(range(classes))
    shares = sample.y_train.bincount() / train
    wanted = [0.759, 0.241] if classes == 2 else [0.1] * 10
    torch.testing.assert_close(shares, torch.tensor(wanted), rtol=0.15, atol=0)
    report = dict(data.verify(name))
    assert {report[f"samples/{name}/{file}"] for file in data.samples(name)} == {"ok"}


def test_the_rows_of_a9a_are_the_originals():
    for file, path in data.samples("a9a").items():
        original = registry.SOURCES["a9a"].files[file.removesuffix(".bz2")]
        assert sha256(bz2.decompress(path.read_bytes())) == original
    assert data.load("a9a").y_train.sum() == 7841


def test_texts_lose_the_tags_of_their_words(tmp_path):
    with zipfile.ZipFile(tmp_path / "masc.zip", "w") as file:
        file.writestr("masc_tagged/categories.txt", "a.txt fiction\nb.txt spam\nc.txt fiction\n")
        for name, text in {"a": "He_PRP said_VBD :_:\n\n", "b": "a_b_NN", "c": "._."}.items():
            file.writestr(f"masc_tagged/{name}.txt", text)
    assert formats.texts(tmp_path / "masc.zip") == {"fiction": "He said :\n\n.", "spam": "a_b"}


def test_the_sample_of_masc_has_20_genres_and_four_times_the_text_of_the_target():
    texts = data.texts("masc-sample")
    assert sorted({len(text) for text in texts.values()}) == [8_000, 32_000]
    assert len(texts) == 20
    assert len(texts["technical"]) == 32_000
    assert texts["technical"].startswith("Introduction Older adults are frequently counseled")
    assert data.samples("masc")["masc.zip.xz"].stat().st_size < 80_000


@pytest.mark.parametrize(
    ("read", "name", "says"),
    [
        (data.load, "masc", "masc holds texts"),
        (data.load, "masc-sample", "read it by data.texts"),
        (data.texts, "mnist", "'mnist' holds no texts; give masc or masc-sample"),
    ],
)
def test_texts_and_labelled_samples_are_not_taken_for_each_other(read, name, says):
    with pytest.raises(ValueError, match=says):
        read(name)


def test_samples_are_small_and_their_licences_are_told():
    assert sum(path.stat().st_size for path in registry.SAMPLES.rglob("*.*")) < 4.5e6
    text = (registry.SAMPLES / "LICENSES.md").read_text("utf-8")
    for source in registry.SOURCES.values():
        assert source.title in text


def test_a_sample_that_is_not_there_is_told_with_the_way_to_the_original(monkeypatch, tmp_path):
    with pytest.raises(
        DataUnavailable, match=r"no sample of CIFAR-10 .*no licence.* fetch cifar10"
    ):
        data.load("cifar10-sample")
    monkeypatch.setattr(registry, "SAMPLES", tmp_path)
    with pytest.raises(DataUnavailable, match=r"no sample of MNIST .*missing.* fetch mnist"):
        data.load("mnist-sample")
    put(tmp_path / "mnist", dict.fromkeys(registry.SOURCES["mnist"].sample_files, b"changed"))
    with pytest.raises(DataCorrupted, match="corrupt"):
        data.load("mnist-sample")
