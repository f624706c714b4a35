"""The command line: ``dsbo`` or ``python -m dsbo``.

Help comes at once, so a command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsbo_book import arguments
from dsbo_book.experiments import EXPERIMENTS

if TYPE_CHECKING:
    from dsbo.trace import Trace
    from dsbo_book.experiments.study import Study

EXIT_CODES = """\
exit codes:
  0  all went well
  1  something could not be done: data missing or corrupt, a bad checkpoint, a full disk,
     a process lost
  2  the command line was not understood
  3  a run diverged; its trace was kept
  130  interrupted; what was recorded was kept, and --resume goes on from there
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that knows no ‖ or ✓ gets a ?
        sys.stdout.reconfigure(errors="replace")
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser().parse_args(words)
    args.command_line = shlex.join(["dsbo", *words])
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        done = command(args)
        sys.stdout.flush()
        return done
    except BrokenPipeError:  # who reads has seen enough, as `| head` does
        return os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()) and 0
    except ModuleNotFoundError as error:
        remedy = "pip install 'dsbo[book]' brings all that the command line needs"
        print(f"dsbo: {error}; {remedy}", file=sys.stderr)
        return 1
    except Exception as error:
        from dsbo import PeerLost

        # These tell a user what to do, and a traceback would only hide it.
        if not isinstance(error, (OSError, ValueError, PeerLost)):
            raise
        print(f"dsbo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        how = "add --resume" if args.command is run_experiment else "give the same command"
        print(f"dsbo: interrupted; {how} to go on from here", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="dsbo",
        description="Run, plot and check the experiments of the dsbo book.",
        epilog="start with: dsbo list\n\n" + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=arguments.Version, nargs=0, help="say which and exit")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    add = commands.add_parser("list", help="say which experiments, algorithms and data there are")
    add.set_defaults(command=list_all)

    add = commands.add_parser(
        "run",
        help="run an experiment and keep its traces",
        description="Run an experiment. Every trace is written as soon as its run is done. "
        "Started by torchrun --nproc-per-node P -m dsbo run …, P processes share the agents.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add.add_argument("name", choices=sorted(EXPERIMENTS), help="see: dsbo list")
    add.add_argument(
        "--scale",
        default="quick",
        help="quick: minutes, to see that it works; paper: the full size, hours",
    )
    add.add_argument(
        "--seeds",
        type=arguments.seed,
        nargs="+",
        metavar="SEED",
        help="run these instead of the usual",
    )
    add.add_argument("--device", type=arguments.device, help="such as cpu or cuda; by default cpu")
    add.add_argument(
        "--out",
        type=Path,
        metavar="DIR|FILE",
        help="folder, or a record (*.npz) that takes its place at the end; by default the folder "
        "runs/NAME-SCALE",
    )
    add.add_argument(
        "--resume",
        action="store_true",
        help="keep finished runs in DIR, go on with the one that was stopped",
    )
    add.add_argument(
        "--timeout",
        type=arguments.seconds,
        default=120.0,
        metavar="SECONDS",
        help="under torchrun: how long a process waits for another before it gives it up",
    )
    add.set_defaults(command=run_experiment)

    add = commands.add_parser("plot", help="draw the traces of a run or of a record")
    add.add_argument(
        "place",
        type=Path,
        metavar="DIR|FILE|NAME-SCALE",
        help="folder of a run, a record (*.npz), or one that comes with the package",
    )
    add.add_argument("--x", default="step", help="column for the horizontal axis, such as floats")
    add.add_argument("--y", nargs="+", metavar="COLUMN", help="columns to draw; by default all")
    add.add_argument(
        "--only",
        type=arguments.pair,
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="traces whose cells say so alone, such as rate=0.2 graph=torus",
    )
    add.add_argument(
        "--out",
        type=arguments.picture,
        metavar="FILE",
        help="such as one.pdf or one.png; by default overview.svg, in DIR",
    )
    add.set_defaults(command=plot)

    add = commands.add_parser(
        "data",
        help="fetch or verify data sets",
        description="Originals are looked for in the folder $DSBO_DATA, then in the user's cache; "
        "fetch puts what is missing into the first of these, and goes on with a download that was "
        "interrupted. Runs at quick scale need none of them.",
    )
    add.add_argument("action", choices=("fetch", "verify"))
    add.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="see: dsbo list; or all",
    )
    add.add_argument(
        "--mirror",
        metavar="URL",
        help="fetch URL/FOLDER/FILE instead of asking the makers, such as URL/mnist/…",
    )
    add.set_defaults(command=data_sets)
    return top


def list_all(args: argparse.Namespace) -> int:  # noqa: ARG001
    """Print what there is."""
    from dsbo.algorithms import ALGORITHMS
    from dsbo_book.data.registry import SOURCES

    print("experiments (dsbo run NAME --scale SCALE)")
    for name, experiment in EXPERIMENTS.items():
        print(f"  {name:20} {experiment.title}; {', '.join(experiment.scales)}")
    print("algorithms (from dsbo import …)")
    for cls in ALGORITHMS:
        print(f"  {cls.__name__:20} {(cls.__doc__ or '').splitlines()[0]}")
    print("data sets (dsbo data fetch NAME)")
    for name, source in SOURCES.items():
        licence = source.licence or "no licence given"
        print(f"  {name:20} {source.title}, {licence}; with the package: {source.sample}")
    return 0


def run_experiment(args: argparse.Namespace) -> int:
    """Run an experiment; 3 if one of its runs diverged."""
    from dsbo.network import join

    study = EXPERIMENTS[args.name].study(args.scale)
    study = study.at_seeds(args.seeds) if args.seeds else study
    if "WORLD_SIZE" not in os.environ:
        return _run_study(study, args)
    with join(timeout=args.timeout, device=args.device or "cpu") as ranks:
        args.device = str(ranks.device)
        args.resume = args.resume or int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0
        return _run_study(study, args)


def _run_study(study: Study, args: argparse.Namespace) -> int:
    from dsbo.network.ranks import here
    from dsbo_book.experiments.running import run_study

    out = args.out or Path("runs") / f"{args.name}-{args.scale}"
    runs, ranks = len(study.cells), here()
    over = f" over {ranks.count} processes" if ranks.count > 1 else ""
    if ranks.rank == 0:
        print(f"{runs} runs of {args.name} at {args.scale} scale{over} -> {out}", flush=True)
    say = partial(print, flush=True)
    traces = run_study(study, out, args.device, args.resume, command=args.command_line, say=say)
    lost = [trace for trace in traces if "diverged" in trace.provenance]
    if ranks.rank == 0:
        print(f"done. Look at them with: dsbo plot {out}")
        _tell_lost(lost)
    return 3 if lost else 0


def _tell_lost(lost: Sequence[Trace]) -> None:
    for trace in lost:
        cell, end = trace.provenance["cell"], trace.provenance["diverged"]
        over = f" on {cell['graph']}" if "graph" in cell else ""
        print(
            f"dsbo: {cell['method']}{over}, seed {cell['seed']}, diverged: "
            f"{end['variable']} is not finite after step {end['step']}",
            file=sys.stderr,
        )


def plot(args: argparse.Namespace) -> int:
    """Draw every metric of the traces in a folder or a record."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from dsbo.trace import replacing
    from dsbo_book import plots
    from dsbo_book.experiments.stored import traces_in

    found = [trace for trace in traces_in(args.place) if trace.rows]
    if not found:
        raise ValueError(f"no trace in {args.place} has a row")
    cells = [trace.provenance.get("cell", {}) for trace in found]
    traces = [t for t, c in zip(found, cells, strict=True) if _fits(c, args.only)]
    if not traces:
        asked = " ".join(map("=".join, args.only))
        keys = ", ".join({key: None for cell in cells for key in cell})
        raise ValueError(f"no trace in {args.place} fits {asked}; cells have the keys {keys}")
    shared = [c for c in traces[0].rows[0] if all(c in trace.rows[0] for trace in traces)]
    for column in [args.x, *(args.y or [])]:
        if column not in shared:
            raise ValueError(f"no column {column!r}; all traces have {', '.join(shared)}")
    beside = args.place if args.place.is_dir() else Path()
    out = args.out or beside / "overview.svg"
    plots.apply_style()
    figure = plots.overview(traces, args.x, args.y)
    with replacing(out) as part:
        figure.savefig(part, format=out.suffix[1:].lower())
    plt.close(figure)
    print(out)
    return 0


def _fits(cell: dict[str, Any], only: Sequence[tuple[str, str]]) -> bool:
    return all(key in cell and str(cell[key]) == value for key, value in only)


def data_sets(args: argparse.Namespace) -> int:
    """Fetch data sets, or say of each file whether it is there and whole."""
    from dsbo_book.data import registry
    from dsbo_book.data.download import fetch

    names = list(registry.NAMES) if "all" in args.names else args.names
    if not names:
        raise ValueError(f"say which data sets: {', '.join(registry.NAMES)}, or all")
    for name in names:
        registry.source_of(name)
    wrong = 0
    for name in names:
        if args.action == "verify":
            for file, status in registry.verify(name):
                print(f"{status:10} {file}")
                wrong += status != "ok"
        else:
            paths = fetch(name, args.mirror)
            size = sum(path.stat().st_size for path in paths.values())
            folder = next(iter(paths.values())).parent
            print(f"{name}: {len(paths)} files, {size / 1e6:.1f} MB, verified, in {folder}")
    return 1 if wrong else 0
