"""Files that were damaged or made up: each comes back as it was, or is refused by name.

Never another error, never a wrong load, and never more than a gigabyte of memory.
"""

import ast
import bz2
import copy
import gzip
import hashlib
import io
import json
import lzma
import math
import pickle
import random
import re
import resource
import shutil
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sklearn.datasets  # noqa: F401 (before memory is limited)
import torch
from cases import STEPS, lazy_ring, quadratic
from hypothesis import given
from hypothesis import strategies as st
from test_data import TOY, Bomb, toy

from dsbo import DSOBA, CheckpointError, Dense, Trace, TraceError, run
from dsbo.checkpoint import FILE, Checkpoint, read_sealed, write_sealed
from dsbo.trace import _digest
from dsbo_book.data import download, formats
from dsbo_book.data.registry import DataCorrupted
from dsbo_book.experiments import record

SEEDS = st.integers(0, 2**63)
GIB = 2**30
TRACES = {
    "one": Trace(
        [{"step": k, "floats": 10**k, "loss": 0.1 * k, "auc": math.nan} for k in range(9)],
        {"seed": 3, "cell": {"graph": "ring", "α": 0.1}, "W": [[0.5, 0.5], [0.5, 0.5]]},
    ),
    "two": Trace([{"step": 1, "loss": 1e-300}], {"command": None}),
}
IMAGES = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)
IDX = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 48, 0, 0, 0, 64]) + IMAGES.tobytes()
BATCH = pickle.dumps({b"data": IMAGES, b"labels": [7, 0], b"batch_label": b"one"}, protocol=2)
LIBSVM = b"".join(b"%+d 3:1 %d:0.5 123:1\n" % (1 - k % 3, k + 4) for k in range(40))


@pytest.fixture(autouse=True, scope="module")
def _limited_memory():
    """Let whoever wants another gigabyte fail."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def small(folder, steps=4, resume=False):
    _, problem = quadratic(N=4, noise=0.5)
    return run(
        DSOBA(**STEPS, theta=0.3), problem, Dense(lazy_ring(4)), steps, every=2,
        checkpoint=folder, resume=resume,
    )  # fmt: skip


def plain(value):
    """What a reader gave, as text that tells any two apart."""
    if isinstance(value, Trace):
        return plain([value.rows, value.provenance])
    if isinstance(value, Checkpoint):
        return plain(vars(value))
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return plain([str(value.dtype), value.tolist()])
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else repr(value)


def tarball():
    """An archive, in which other members lead outside and to one another."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            for name in ("../outside", "/outside-of-dsbo", "toy/one", "toy/two"):
                content = TOY.get(name.removeprefix("toy/"), b"outside")
                told = tarfile.TarInfo(name)
                told.size = len(content)
                tar.addfile(told, io.BytesIO(content))
            told = tarfile.TarInfo("toy")
            told.type, told.linkname = tarfile.SYMTYPE, "/"
            tar.addfile(told)
        return file.getvalue()


def unpacked(path):
    """The files that come out of an archive whose checksum matches."""
    source = toy("https://here/toy.tar.gz", hashlib.sha256(path.read_bytes()).hexdigest())
    shutil.rmtree(path.parent / "toy", ignore_errors=True)
    download._unpack(source, list(TOY), path.parent)
    assert sorted(found.name for found in path.parent.iterdir()) == ["toy", "toy.tar.gz"]
    return {file: (path.parent / "toy" / file).read_bytes() for file in TOY}


def batch(path):
    return formats.cifar(path, hashlib.sha256(path.read_bytes()).hexdigest())


class Format(NamedTuple):
    """How a file is called, made and read, and what a reader raises."""

    file: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    error: type[Exception]
    content: bytes = b""


def data(file, content, read):
    write = partial(Path.write_bytes, data=content)
    return Format(file, write, read, DataCorrupted, content)


def libsvm(path):
    return formats.libsvm(path, 123)


def masc():
    """Texts of two genres, one of them in two members, as MASC packs them."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            texts = {
                "a.txt": "Two_CD words_NNS ._.\n",
                "b.txt": "snake_case_NN",
                "c.txt": "more_JJR",
            }
            told = "".join(f"{name} {'letters' if name != 'b.txt' else 'code'}\n" for name in texts)
            for name, text in {"categories.txt": told, **texts}.items():
                packed.writestr(f"masc_tagged/{name}", text)
        return file.getvalue()


FORMATS = {
    "trace": Format("one.csv", TRACES["one"].save, Trace.load, TraceError),
    "record": Format(
        "all.npz", lambda path: record.write(path, TRACES, {"one": IMAGES[0].astype(np.float32)}),
        record.read, TraceError,
    ),
    "checkpoint": Format(
        FILE, lambda path: small(path.parent), lambda path: Checkpoint.read(path.parent),
        CheckpointError,
    ),
    "sealed": Format(
        "x.safetensors", lambda path: write_sealed(path, {"xbar": torch.arange(9.0)}),
        read_sealed, CheckpointError,
    ),
    "idx gz": data("a.gz", gzip.compress(IDX, mtime=0), formats.idx),
    "idx xz": data("a.xz", lzma.compress(IDX), formats.idx),
    "libsvm": data("a9a.bz2", bz2.compress(LIBSVM), libsvm),
    "texts": data("masc.zip", masc(), formats.texts),
    "texts xz": data("masc.zip.xz", lzma.compress(masc()), formats.texts),
    "tar": data("toy.tar.gz", tarball(), unpacked),
}  # fmt: skip
INNER = {
    "idx": data("a.gz", IDX, formats.idx),
    "libsvm": data("a9a", LIBSVM, libsvm),
    "cifar": data("batch", BATCH, batch),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A file of each format, its bytes, and what it holds."""

    def make(told):
        path = tmp_path_factory.mktemp("sound") / told.file
        told.write(path)
        return path, path.read_bytes(), plain(told.read(path))

    return cache(lambda name: make(FORMATS[name]))


def span(rng, content):
    """Two places in order, mostly near to each other."""
    at = rng.randrange(len(content) + 1)
    return at, min(len(content), at + rng.choice([1, 2, 4, 8, 64, 512, len(content)]))


def cut(rng, content):
    return content[: rng.randrange(len(content) + 1)]


def flip(rng, content):
    some = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 8]) if some else 0):
        some[rng.randrange(len(some))] ^= 1 << rng.randrange(8)
    return bytes(some)


def insert(rng, content):
    at, _ = span(rng, content)
    what = rng.choice([rng.randbytes(rng.choice([1, 4, 64])), b"\r", b"\n", b'"', b"{", b"\0"])
    return content[:at] + what + content[at:]


def delete(rng, content):
    at, end = span(rng, content)
    return content[:at] + content[end:]


def double(rng, content):
    at, end = span(rng, content)
    return content[:end] + content[at:]


def swap(rng, content):
    a, b, c, d = sorted(rng.randrange(len(content) + 1) for _ in range(4))
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def overwrite(rng, content):
    at, end = span(rng, content)
    return content[:at] + rng.choice([b"\0", b"\xff", b"\x7f"]) * (end - at) + content[end:]


def number(rng, content):
    """Put another number in the place of one that is written in digits."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", content))
    if not found:
        return content
    one = rng.choice(found)
    odd = [b"NaN", b"nan", b"-1", b"1e999", b"9" * 30, b"9" * 5000, b"4294967297", b"0", b""]
    return content[: one.start()] + rng.choice(odd) + content[one.end() :]


WAYS = (cut, flip, insert, delete, double, swap, overwrite, number)


def spoilt(rng, content):
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        content = rng.choice(WAYS)(rng, content)
    return content


def refused(error, path):
    """The error names the file and what to do, and its cause if there is one."""
    assert str(path) in str(error) or f"{path.parent}/toy/" in str(error)
    assert re.search(r"make it anew|Make it anew|delete|another folder", str(error)), error
    assert error.__context__ is None or error.__cause__ is not None


@pytest.mark.parametrize("name", FORMATS)
@given(seed=SEEDS)
def test_a_spoilt_file_is_refused_or_comes_back_as_it_was(sound, name, seed):
    path, content, value = sound(name)
    path.write_bytes(spoilt(random.Random(seed), content))
    try:
        got = FORMATS[name].read(path)
    except FORMATS[name].error as error:
        refused(error, path)
    else:
        assert plain(got) == value


@pytest.mark.parametrize("name", INNER)
@given(seed=SEEDS)
def test_data_of_another_form_are_refused_behind_their_checksum_too(sound, name, seed):
    told, (beside, *_) = INNER[name], sound("trace")
    path, content = (
        beside.with_name(told.file),
        spoilt(random.Random(seed), told.content),
    )
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    try:
        got = told.read(path)
    except told.error as error:
        refused(error, path)
        return
    if name == "idx":
        axes = content[3]
        assert content[4 + 4 * axes :] == got.tobytes()
        assert (
            content[: 4 + 4 * axes] == bytes([0, 0, 8, axes]) + np.array(got.shape, ">u4").tobytes()
        )
    else:
        x, y = got
        assert x.shape == (len(y), 123 if name == "libsvm" else 3072)
        assert np.isfinite(x).all()
        assert np.isfinite(y).all()


ODD = (None, True, -1, 0, 7, 2**70, 10**400, 1e308, -0.5, math.nan, math.inf, "", "step", "\0", [],
       {}, [[]], [{}], {"step": 1}, [None] * 3, "kind")  # fmt: skip


def changed(rng, tree):
    """The same JSON, in which something was dropped, renamed, doubled or is another value."""
    tree = copy.deepcopy(tree)
    places, left = [], [tree]
    while left:
        node = left.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        places += [(node, key) for key in keys]
        left += [node[key] for key in keys if isinstance(node[key], dict | list)]
    node, key = rng.choice(places)
    way = rng.choice(["drop", "rename", "odd", "odd", "odd", "nest"])
    if way == "odd":
        node[key] = rng.choice(ODD)
    elif way == "nest":
        node[key] = rng.choice([[node[key]], {"step": node[key]}, str(node[key])])
    elif isinstance(node, list):
        node.insert(key, node.pop(key) if way == "rename" else node.pop())
    else:
        value = node.pop(key)
        if way == "rename":
            node[rng.choice([key + "s", key.upper(), "", "step", "rows"])] = value
    return tree


def as_json(tree):
    """What is read back of a tree that is written as JSON."""
    return plain(json.loads(json.dumps(tree)))


@given(seed=SEEDS)
def test_a_trace_that_says_something_else_is_read_as_it_says(sound, seed):
    rng, (path, content, _) = random.Random(seed), sound("trace")
    _, body = content.decode().split("\n", 1)
    told, rows = TRACES["one"].provenance, [line.split(",") for line in body.splitlines()]
    if rng.random() < 0.5:
        told = changed(rng, told)
    else:
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = rng.choice(
            ["", "NaN", "x", '"', "1,2", "9" * 5000, "\0", "\r"]
        )
    text = json.dumps(told) + "\n" + "".join(",".join(row) + "\n" for row in rows)
    path.write_text(f"# {_digest(text)} {text}", "utf-8", newline="")
    try:
        got = Trace.load(path)
    except TraceError as error:
        refused(error, path)
    else:
        assert plain(got.provenance) == as_json(told)
        assert len(got.rows) == len(rows) - 1
        assert all(isinstance(v, int | float) for row in got.rows for v in row.values())


@given(seed=SEEDS)
def test_a_record_that_says_something_else_is_read_as_it_says(sound, seed):
    rng, (path, content, _) = random.Random(seed), sound("record")
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    told = json.loads(members["runs.json"])
    if rng.random() < 0.6:
        told = changed(rng, told)
        members["runs.json"] = json.dumps(told).encode()
    else:
        name = rng.choice(list(members))
        members[name] = spoilt(rng, members[name])
    packing = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(path, "w", packing) as file:
        for name, raw in members.items():
            file.writestr(name, raw)
    try:
        got = record.read(path)
    except TraceError as error:
        refused(error, path)
    else:
        told = json.loads(members["runs.json"])
        assert [*got.traces] == [one["name"] for one in told["runs"]]
        for trace, one in zip(got.traces.values(), told["runs"], strict=True):
            assert plain(trace.provenance) == plain(one["provenance"])
            assert len(trace.rows) == one["rows"]
            assert all(isinstance(v, int | float) for row in trace.rows for v in row.values())


@given(seed=SEEDS)
def test_a_checkpoint_with_other_fields_is_refused_or_gone_on_from(sound, seed):
    rng, (path, content, _) = random.Random(seed), sound("checkpoint")
    path.write_bytes(content)
    tensors, body = read_sealed(path)
    if rng.random() < 0.7:
        body = json.dumps(changed(rng, json.loads(body)))
    else:
        name = rng.choice(list(tensors))
        part = tensors.pop(name)
        tensors |= rng.choice([
            {}, {name: part.float()}, {name: part.long()}, {name.upper(): part}, {name: part[:3]},
            {name: part[0, 0]}, {name: part[..., None]}, {name: part, "more": part},
        ])  # fmt: skip
    write_sealed(path, tensors, body)
    try:
        trace = small(path.parent, steps=6, resume=True)
    except CheckpointError as error:
        refused(error, path.parent)
    else:
        assert trace.rows[-1]["step"] == 6


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda told: told.pop("step"), "step"),
        (lambda told: told["counts"].pop("hvps"), "it counts .* alone"),
        (
            lambda told: told["counts"].update({"rounds of z": 3}),
            "the count of rounds of z was there",
        ),
        (lambda told: told.update(more=1), "more"),
        (lambda told: told.update(rows=[{"loss": 1.0}]), "step"),
        (lambda told: told.update(seconds=3), "no time"),
        (lambda told: told.update(step=-1), "no whole number|not a whole number"),
        (lambda told: told.update(made_by=[]), "which run made it"),
        (lambda told: told["made_by"].pop("every"), "every was None"),
        (lambda told: told["made_by"].update(network="Dense"), "network was Dense"),
    ],
)
def test_what_is_wrong_with_a_checkpoint_is_said(tmp_path, spoil, says):
    small(tmp_path)
    tensors, body = read_sealed(tmp_path / FILE)
    told = json.loads(body)
    spoil(told)
    write_sealed(tmp_path / FILE, tensors, json.dumps(told))
    with pytest.raises(CheckpointError, match=says):
        small(tmp_path, steps=6, resume=True)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (torch.zeros(4, 3), r"y was torch.float32 \[4, 3\], is torch.float64 \[4, 4\]"),
        (None, r"y was None, is torch.float64 \[4, 4\]"),
    ],
)
def test_a_state_of_another_form_is_refused(tmp_path, part, says):
    small(tmp_path)
    tensors, body = read_sealed(tmp_path / FILE)
    del tensors["y"]
    write_sealed(tmp_path / FILE, tensors | ({"y": part} if part is not None else {}), body)
    with pytest.raises(CheckpointError, match=says):
        small(tmp_path, steps=6, resume=True)


def test_a_seal_knows_the_text_beside_the_tensors(tmp_path):
    path = write_sealed(tmp_path / FILE, {"x": torch.arange(3.0)}, "step 5")
    path.write_bytes(path.read_bytes().replace(b"step 5", b"step 6"))
    with pytest.raises(CheckpointError, match="was changed after it was written"):
        read_sealed(path)


def test_nesting_without_end_is_refused(tmp_path):
    deep = "[" * 10**5
    (tmp_path / "deep.csv").write_text(f"# {_digest(deep)} {deep}")
    with pytest.raises(TraceError, match=r"deep\.csv is not a trace"):
        Trace.load(tmp_path / "deep.csv")
    write_sealed(tmp_path / FILE, {}, deep)
    with pytest.raises(CheckpointError, match="no checkpoint that this version of dsbo wrote"):
        Checkpoint.read(tmp_path)
    with zipfile.ZipFile(tmp_path / "deep.npz", "w") as file:
        file.writestr("runs.json", deep)
    with pytest.raises(TraceError, match=r"deep\.npz is not a record"):
        record.read(tmp_path / "deep.npz")


def peak(work):
    """The most memory that Python held during some work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def refuses(says, error, read, path):
    with pytest.raises(error, match=says) as caught:
        read(path)
    refused(caught.value, path)


MIB = 2**20
BOMB = 64 * MIB


@pytest.mark.parametrize("declared", [BOMB, 1000])
def test_a_record_that_unpacks_to_more_is_not_unpacked(tmp_path, monkeypatch, declared):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("runs.json", b"{" + b" " * BOMB)
    size = BOMB.to_bytes(4, "little"), (declared - 1).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace((BOMB + 1).to_bytes(4, "little"), size[1]))
    monkeypatch.setattr(record, "LARGEST", MIB)
    says = "too large" if declared == BOMB else "Bad CRC-32"
    assert peak(lambda: refuses(says, TraceError, record.read, path)) < 16 * MIB


def test_data_that_unpack_to_more_are_refused_as_soon_as_they_do(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "LARGEST", MIB)
    for suffix, pack in {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}.items():
        path = tmp_path / f"bomb.{suffix}"
        path.write_bytes(pack(bytes(BOMB)))
        read = partial(refuses, "does not unpack to its end", DataCorrupted, formats.idx, path)
        if suffix != "xz":  # whose window alone is larger
            assert peak(read) < 16 * MIB
    path = tmp_path / "one.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        told = tarfile.TarInfo("toy/one")
        told.size = BOMB
        tar.addfile(told, io.BytesIO(bytes(BOMB)))
    assert peak(lambda: formats.member(path, "toy/one")) < 16 * MIB


def test_texts_that_unpack_to_more_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "LARGEST", MIB)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("masc_tagged/categories.txt", bytes(BOMB))
    assert peak(lambda: refuses("too large", DataCorrupted, formats.texts, path)) < 16 * MIB


def test_rows_without_columns_are_not_counted_up_to(tmp_path):
    path = tmp_path / "many.npz"
    run = {"name": "a", "rows": 10**15, "columns": [], "kept": False, "provenance": {}}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("runs.json", json.dumps({"format": record.FORMAT, "runs": [run]}))
    refuses("rows without columns", TraceError, record.read, path)
    with pytest.raises(ValueError, match="do not all have the columns"):
        record.write(path, {"a": Trace([{}])}, {})


@pytest.mark.parametrize("name", ["../outside", "/outside-of-dsbo", "xbar/../../outside"])
def test_names_that_lead_outside_lead_nowhere(tmp_path, name):
    path = record.write(tmp_path / "in/all.npz", TRACES, {})
    with zipfile.ZipFile(path, "a") as file:
        told = zipfile.ZipInfo(f"{name}.npy")
        told.external_attr = 0o120777 << 16  # a link
        file.writestr(told, "/")
    refuses("holds no line of numbers", TraceError, record.read, path)
    assert [found.name for found in tmp_path.iterdir()] == ["in"]
    assert not Path("/outside-of-dsbo").exists()


def test_a_pickle_is_read_and_nothing_that_it_names_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for held in (Bomb(), {b"data": IMAGES, b"labels": Bomb()}):
        (tmp_path / "batch").write_bytes(pickle.dumps(held, protocol=2))
        refuses("batch is corrupt", DataCorrupted, batch, tmp_path / "batch")
    assert [path.name for path in tmp_path.iterdir()] == ["batch"]


UNPICKLED = {
    "dsbo/conformance.py": ["pickle.loads"],  # what it has just pickled
    "dsbo/network/group.py": ["pickle.loads"] * 3,  # what its own processes sent it
    "dsbo_book/data/formats.py": ["pickle._Unpickler"],  # which calls nothing
}
LOADERS = r"pickle\.(loads?|_?Unpickler)|torch\.load|np\.load|marshal\.\w+|shelve\.\w+|joblib\.load"


def test_nothing_else_is_unpickled():
    src = Path(record.__file__).parents[2]
    found = {}
    for path in sorted(src.rglob("*.py")):
        tree = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        names = [ast.unparse(node) for node in tree if isinstance(node, ast.Attribute)]
        names = [name for name in names if re.fullmatch(LOADERS, name)]
        if names:
            found[str(path.relative_to(src))] = names
        pickles = [node.value for node in tree if getattr(node, "arg", "") == "allow_pickle"]
        assert all(isinstance(value, ast.Constant) and value.value is False for value in pickles)
        hidden = [node for node in tree if isinstance(node, ast.ImportFrom)]
        assert not [node for node in hidden if node.module in ("pickle", "marshal", "joblib")]
    assert found == UNPICKLED
