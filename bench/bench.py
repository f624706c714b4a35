"""What a step costs, as ratios within one run: machines differ and drift, ratios hardly.

    nox -s bench                      all of it but records, into book/records/bench.json
    nox -s bench -- records           which needs the original data and the project's history
    nox -s bench -- cleaning growth   these parts alone; the file keeps the others
    nox -s bench -- --list            what there is

Things compared are timed in turn, A B A B …; medians are told. The exit code is 1 if a ratio
misses its goal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from growth import growth, memory, spectra
from hypergradients import hypergradients
from processes import peers
from records import records
from steps import cleaning, diamond, logistic, sweeps
from timing import THREADS, Found

from dsbo import provenance
from dsbo.trace import replacing

KEPT = Path(__file__).parents[1] / "book" / "records" / "bench.json"
PARTS: dict[str, Callable[[int], Found]] = {
    "cleaning": cleaning,
    "logistic": logistic,
    "hypergradients": hypergradients,
    "sweeps": sweeps,
    "growth": growth,
    "spectra": spectra,
    "memory": memory,
    "diamond": diamond,
    "peers": peers,
    "records": records,
}


def main() -> int:
    """Run the parts asked for, keep what they found, and say which ratios miss their goals."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    words.add_argument("--rounds", type=int, default=31, help="times that each thing is timed")
    words.add_argument("--out", type=Path, default=KEPT, help="the file to keep it in")
    words.add_argument("--list", action="store_true", help="say what the parts are")
    args = words.parse_args()
    if unknown := set(args.parts) - set(PARTS):
        words.error(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if args.list:
        for name, part in PARTS.items():
            print(f"{name:16} {(part.__doc__ or '').splitlines()[0]}")
        return 0
    warnings.simplefilter("ignore")
    torch.set_num_threads(THREADS)
    missed = 0
    for name in args.parts or (name for name in PARTS if name != "records"):
        print(f"{name}: {(PARTS[name].__doc__ or '').splitlines()[0]}", flush=True)
        found = PARTS[name](args.rounds)
        for thing, seconds in found.seconds.items():
            print(f"  {thing:32} {1e3 * seconds:10.2f} ms")
        for thing, size in found.sizes.items():
            print(f"  {thing:32} {size:10.2f}")
        for ratio in found.ratios:
            missed += not ratio.good
            sign, told = ">=" if ratio.at_least else "<=", "" if ratio.good else "MISSED"
            print(f"  {ratio.text:34} {ratio.value:6.3f}  goal {sign} {ratio.goal}  {told}")
        keep(args.out, name, found)
    return 1 if missed else 0


def keep(path: Path, name: str, found: Found) -> None:
    """Put what a part found into the file, and leave what it holds of others."""
    held: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    held[name] = {
        "about": (PARTS[name].__doc__ or "").strip(),
        "seconds": found.seconds,
        "sizes": found.sizes,
        "ratios": [ratio.told() for ratio in found.ratios],
        "provenance": provenance.environment(torch.device("cpu"))
        | {"processor": processor(), "cores": os.cpu_count(), "date": date.today().isoformat()},
    }
    with replacing(path) as part:
        part.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", "utf-8")


def processor() -> str:
    """Return the processor's name as the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text("utf-8").splitlines() if told.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


if __name__ == "__main__":
    sys.exit(main())
