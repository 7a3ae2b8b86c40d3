"""The command line: a subcommand for each study, and for what is done with archives."""

import argparse
import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
import traceback
from pathlib import Path

import isingflow
from isingflow.errors import ArchiveError, IsingflowError, ParameterError

INTERRUPTED = 130


def main(arguments=None) -> int:
    """Run a command; return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process without it.

    Returns
    -------
    int
        0; 1 for a failed run or check, 2 for wrong usage, parameters or files, 130 after an interrupt.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        try:
            options = _parser().parse_args(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        else:
            logging.basicConfig(level=logging.WARNING, format="isingflow: %(message)s")
            options.command_line = shlex.join(["isingflow", *arguments]).encode(errors="backslashreplace").decode()
            code = _run(options)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read has gone, as `head` does
        _forget_output()
        return 0
    except OSError as error:
        _forget_output()
        return _fail(f"cannot write the result: {error.strerror}", 1)


def _run(options):
    try:
        return options.run(options)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        return _fail("interrupted; no file is left half-written", INTERRUPTED)
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        words = str(error)
        if not isinstance(error, (IsingflowError, OSError, MemoryError)):
            words = f"{type(error).__name__}: {words} (--debug shows where)"
        return _fail(words or type(error).__name__, 2 if isinstance(error, (ParameterError, ArchiveError)) else 1)


def _fail(words, code):
    print(f"isingflow: {' '.join(words.split())}", file=sys.stderr)
    return code


def _forget_output():
    """Let what is still to be printed go nowhere, so that the end of the process does not fail over it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser():
    parser = _Parser(
        prog="isingflow",
        description="Relative entropy along the renormalization group and through deep networks.",
    )
    parser.add_argument("--version", action="version", version=f"isingflow {isingflow.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)

    def add(name, run, words, **more):
        command = commands.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".", **more)
        command.add_argument("--debug", action="store_true", help="show where an error comes from")
        command.set_defaults(run=run)
        return command

    compare = add(
        "compare",
        _compare,
        "compare the Ising chain, the square lattice and a random network: archive, figure and table",
        epilog="Writes FILE, and the figure beside it as .png and .pdf; prints every sampled point with its reference.",
    )
    _add_sampling(compare)
    _add_study(compare, "compare.h5")

    networks = add(
        "networks",
        _networks,
        "follow random networks from the ordered to the chaotic phase by three curves: archive, figure and summary",
        epilog="Writes FILE, and the figure beside it as .png and .pdf. isingflow show --points prints every point.",
    )
    _add_sampling(networks)
    _add_study(networks, "networks.h5")

    phases = add(
        "phases",
        _phases,
        "chart the phases of random networks at infinite width: archive, figure and summary",
        epilog="Writes FILE, and the figure beside it as .png and .pdf.",
    )
    phases.add_argument(
        "--activation",
        default="tanh",
        metavar="NAME",
        help="tanh (default), erf, relu, leaky_relu, leaky_relu(SLOPE), hard_tanh or linear",
    )
    phases.add_argument(
        "--residual", type=float, default=0.0, metavar="R", help="residual strength, from 0 (default) to below 1"
    )
    bounds = {"type": float, "nargs": 2, "metavar": ("LOW", "HIGH")}
    phases.add_argument("--weights", default=(0.5, 4.0), help="weight variances (default: 0.5 4)", **bounds)
    phases.add_argument("--biases", default=(0.0, 0.5), help="bias variances (default: 0 0.5)", **bounds)
    phases.add_argument("--points", type=int, default=201, metavar="N", help="values of each (default: %(default)s)")
    _add_study(phases, "phases.h5")

    published = add(
        "published",
        _published,
        "evaluate the published estimator of layers on files of the public notebooks: archive, figure and table",
        epilog="Writes FILE, and the figure beside it as .png and .pdf. The figure of the paper, as it was printed: "
        "--order published --normalise.",
    )
    published.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="directories with hooks-*.hdf5 and para-*.hdf5, or such files in pairs: HOOKS PARA",
    )
    published.add_argument(
        "--samples", type=int, default=1000, metavar="N", help="samples of level 0 (default: %(default)s)"
    )
    published.add_argument(
        "--variance",
        default="reference",
        metavar="KIND",
        help="what distances are divided by: reference (default), the variance of level 0, as the public notebook "
        "does; or layer, that of each layer",
    )
    published.add_argument(
        "--order",
        default="number",
        metavar="KIND",
        help="of the layers: number (default), as in the network; or published, as the public notebook takes them",
    )
    normalise = {
        "action": "store_true",
        "help": "draw as the paper does: over (N_0/2) ln(2 pi e sigma_w^2), without the last two layers",
    }
    published.add_argument("--normalise", **normalise)
    published.add_argument(
        "--workers", type=int, default=None, metavar="N", help="threads (default: one for each core)"
    )
    _add_study(published, "published.h5")

    run = add(
        "run",
        _run_study,
        "run a study file: what is missing of it, into pieces, and these into one archive",
        epilog="The same command goes on after an interruption, and computes what a larger grid or more repeats add. "
        "Examples are in studies/; docs/studies.md describes them.",
    )
    _add_file(run)
    run.add_argument("--workers", type=int, metavar="N", help="processes (default: one for each core)")
    run.add_argument(
        "--executor", default="processes", metavar="NAME", help="processes (default), serial or dask; results are alike"
    )
    run.add_argument(
        "--scheduler", metavar="ADDRESS", help="of dask, as tcp://host:8786 (default: a local cluster); sets --executor"
    )
    run.add_argument("--part", default="1/1", metavar="K/N", help="only the K-th of N equal shares of the tasks")
    run.add_argument("--dry-run", action="store_true", help="only print the missing tasks, their cost and memory")
    run.add_argument("--force", action="store_true", help="overwrite an archive of something else")
    run.add_argument("-q", "--quiet", action="store_true", help="no progress")

    status = add("status", _status, "print how far a study is: tasks done, failed, running, and the time left")
    _add_file(status)

    collect = add(
        "collect",
        _collect,
        "put finished pieces of a study together into its archive, also while it runs",
        epilog="Folders of several machines are put together; points of which nothing is done are left empty.",
    )
    _add_file(collect, folder=False)
    where = "where finished work is (default: beside the archive, ending in .pieces)"
    collect.add_argument("--folder", type=Path, nargs="+", default=[], dest="folders", metavar="FOLDER", help=where)
    collect.add_argument("--force", action="store_true", help="overwrite an archive of something else")

    show = add("show", _show, "print what an archive holds")
    show.add_argument("archive", type=Path, metavar="FILE")
    show.add_argument("--points", action="store_true", help="every sampled point, as compare prints them")

    figure = add("figure", _figure, "redraw the figure of an archive, without computing anything")
    figure.add_argument("archive", type=Path, metavar="FILE")
    figure.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="PICTURE",
        help=".png, .pdf or .svg (default: FILE with .png, and with .pdf)",
    )
    figure.add_argument("--force", action="store_true", help="overwrite existing pictures given with -o")
    figure.add_argument("--normalise", **normalise | {"help": f"the published estimator: {normalise['help']}"})

    export = add("export", _export, "write the curves of an archive as CSV or NetCDF")
    export.add_argument("archive", type=Path, metavar="FILE")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="TABLE", help="ending in .csv or .nc")
    export.add_argument("--force", action="store_true", help="overwrite an existing file")

    add("verify", _verify, "check the installation against packaged reference values")
    return parser


def _add_file(command, *, folder=True):
    """Add the options that say which study is meant, and where it lies."""
    command.add_argument("study", type=Path, metavar="STUDY.toml")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        dest="changes",
        metavar="KEY=VALUE",
        help="override what the file says, such as samples=400 or 'coupling=[0.3, 0.4]'; may be repeated",
    )
    command.add_argument("-o", "--output", type=Path, metavar="FILE", help="archive (default: what the study says)")
    if folder:
        where = "where finished work is kept (default: beside the archive, ending in .pieces)"
        command.add_argument("--folder", type=Path, metavar="FOLDER", help=where)


def _add_sampling(command):
    """Add the options of commands that spread tasks over processes."""
    command.add_argument("--quick", action="store_true", help="small systems: seconds instead of a minute")
    command.add_argument(
        "--workers",
        type=int,
        default=None,
        metavar="N",
        help="processes (default: one for each core); the numbers do not depend on it",
    )
    command.add_argument(
        "--inputs", default="digits", metavar="KIND", help="what networks are shown: digits (default) or noise"
    )


def _add_study(command, name):
    """Add the options that every command has which computes and writes."""
    command.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(name),
        metavar="FILE",
        help="archive to write (default: %(default)s)",
    )
    command.add_argument("--seed", type=int, default=1, metavar="N", help="root seed (default: %(default)s)")
    command.add_argument("--force", action="store_true", help="overwrite existing files")
    command.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def _pictures(archive):
    return [archive.with_suffix(ending) for ending in (".png", ".pdf")]


def _compare(options):
    from isingflow import report, study

    return _sampled(options, study.compare_tasks, study.compare, "comparing", report.table)


def _networks(options):
    from isingflow import report, study

    return _sampled(options, study.network_tasks, study.networks, "propagating", report.networks)


def _sampled(options, tasks_of, study_of, doing, words):
    """Run a study whose tasks are spread over processes."""
    from isingflow import study
    from isingflow.parameters import whole
    from isingflow.seeding import checked_seed

    tasks = tasks_of(quick=options.quick, inputs=options.inputs)
    checked_seed(options.seed)
    workers = whole("workers", _cores() if options.workers is None else options.workers)
    _check_targets(options)
    with _interrupts() as check, _progress(doing, sum(map(study.cost, tasks)), quiet=options.quiet) as bar:

        def progress(task):
            check()
            bar.update(study.cost(task))

        found = study_of(
            seed=options.seed,
            workers=workers,
            quick=options.quick,
            inputs=options.inputs,
            progress=progress,
            command=options.command_line,
        )
    return _deliver(options, found, words)


def _phases(options):
    from isingflow import report, study
    from isingflow.parameters import whole
    from isingflow.seeding import checked_seed

    checked_seed(options.seed)
    points = whole("points", options.points, low=2, high=1000)
    axes = {
        "weight_variances": _values("weights", options.weights, points, above=0.0),
        "bias_variances": _values("biases", options.biases, points, low=0.0, high=10.0),
    }
    _check_targets(options)
    with _interrupts() as check, _progress("charting", 1.0, quiet=options.quiet) as bar:

        def progress(share):
            check()
            bar.update(share - bar.n)

        found = study.phases(
            activation=options.activation,
            residual=options.residual,
            seed=options.seed,
            progress=progress,
            command=options.command_line,
            **axes,
        )
    return _deliver(options, found, report.phases)


def _published(options):
    from isingflow import report, study
    from isingflow.parameters import whole

    workers = whole("workers", _cores() if options.workers is None else options.workers)
    _check_targets(options)
    with _interrupts() as check, _progress("evaluating", 1.0, quiet=options.quiet) as bar:

        def progress(share):
            check()
            bar.update(share - bar.n)

        found = study.published(
            options.paths,
            samples=options.samples,
            variance=options.variance,
            order=options.order,
            seed=options.seed,
            workers=workers,
            progress=progress,
            command=options.command_line,
        )
    return _deliver(options, found, report.published, normalised=options.normalise)


def _values(name, bounds, points, **allowed):
    import numpy as np

    from isingflow.parameters import finite

    low, high = (finite(name, bound, **allowed) for bound in bounds)
    if low >= high:
        raise ParameterError(f"{name} must be given as LOW HIGH, got {low:g} {high:g}")
    return np.linspace(low, high, points)


def _check_targets(options):
    from isingflow import archive

    if not options.output.name:
        raise ParameterError(f"{options.output} is a directory: give the name of a file in it")
    if options.output.suffix.lower() in (".png", ".pdf"):
        raise ParameterError(f"{options.output} is a name for a picture: end that of the archive in .h5")
    for path in (options.output, *_pictures(options.output)):
        archive.check_target(path, overwrite=options.force)


def _deliver(options, found, words, *, normalised=False):
    from isingflow import archive
    from isingflow.plotting.figures import figure_of

    figure = figure_of(found, normalised=normalised)
    archive.write(options.output, found, overwrite=options.force)
    for path in _pictures(options.output):
        _save(figure, path)
    print(words(found))
    print(f"{options.output}, {', '.join(map(str, _pictures(options.output)))}")
    return 0


@contextlib.contextmanager
def _interrupts():
    """Yield what raises `KeyboardInterrupt` again: one that falls into a callback of the compiler's is lost there."""
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    asked, hook = [], sys.unraisablehook

    def interrupt(*_):
        asked.append(True)
        raise KeyboardInterrupt

    def check():
        if asked:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = lambda lost: None if lost.exc_type is KeyboardInterrupt else hook(lost)
    try:
        yield check
        check()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.unraisablehook = hook


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _progress(words, total, *, quiet):
    from tqdm import tqdm

    return tqdm(
        total=total,
        disable=True if quiet else None,  # None: only on a terminal
        bar_format="{l_bar}{bar}| {elapsed}, about {remaining} left",
        desc=words,
        leave=False,
        file=sys.stderr,
    )


def _save(figure, path):
    """Save a picture, whole or not at all."""
    temporary = path.with_name(f".isingflow-{os.getpid()}{path.suffix}")
    try:
        figure.savefig(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _run_study(options):
    from isingflow import report, running

    study, places = _study(options)
    part = _part(options.part)
    if options.dry_run:
        print(report.plan(study, running.plan(study, **places, part=part)))
        return 0
    _check_pictures(options.output or study.output, force=options.force)
    if not options.quiet:
        logging.getLogger("isingflow").setLevel(logging.INFO)
    if options.scheduler and options.executor == "processes":
        options.executor = "dask"
    try:
        with _interrupts() as check:
            found = running.run(
                study,
                executor=options.executor,
                workers=options.workers,
                scheduler=options.scheduler,
                part=part,
                force=options.force,
                progress=not options.quiet,
                notify=lambda *_: check(),
                command=options.command_line,
                **places,
            )
    except KeyboardInterrupt:
        return _fail("interrupted; what is finished is kept, and the same command goes on from there", INTERRUPTED)
    if found is None:
        print("this share is done; others are missing: isingflow status tells how many")
        return 0
    return _drawn(found, options.output or study.output)


def _study(options):
    """The study that is meant, and the places that are given."""
    from isingflow.study_file import Study

    places = {name: getattr(options, name) for name in ("output", "folder") if getattr(options, name, None)}
    return Study.read(options.study, options.changes), places


def _check_pictures(path, *, force):
    """Raise if there are pictures of the archive's name, but no archive that they could be of."""
    from isingflow import archive

    for picture in _pictures(path):
        if picture.exists() and not path.exists():
            archive.check_target(picture, overwrite=force)


def _part(text):
    number, slash, shares = text.partition("/")
    if not (slash and number.isdecimal() and shares.isdecimal() and 1 <= int(number) <= int(shares)):
        raise ParameterError(f"part must be K/N with K from 1 to N, such as 3/40, got {text!r}")
    return int(number), int(shares)


def _drawn(found, path):
    """Say what is in the archive of a study, and draw it."""
    from isingflow import report
    from isingflow.plotting.figures import figure_of

    figure = figure_of(found)
    for picture in _pictures(path):
        _save(figure, picture)
    print(report.grid(found))
    print(f"{path}, {', '.join(map(str, _pictures(path)))}")
    return 0


def _status(options):
    from isingflow import report, running

    study, places = _study(options)
    print(report.status(study, running.status(study, **places)))
    return 0


def _collect(options):
    from isingflow import running

    study, places = _study(options)
    _check_pictures(options.output or study.output, force=options.force)
    found = running.collect(study, options.folders, force=options.force, command=options.command_line, **places)
    return _drawn(found, options.output or study.output)


def _export(options):
    from isingflow import archive
    from isingflow.export import export

    export(archive.read(options.archive), options.output, overwrite=options.force)
    print(options.output)
    return 0


def _show(options):
    from isingflow import archive, report

    found = archive.read(options.archive)
    print(report.table(found) if options.points else report.contents(found))
    return 0


def _figure(options):
    from isingflow import archive
    from isingflow.plotting.figures import figure_of

    found = archive.read(options.archive)
    paths = [options.output] if options.output else _pictures(options.archive)
    for path in paths:
        if path.suffix not in (".png", ".pdf", ".svg"):
            raise ParameterError(f"a picture must end in .png, .pdf or .svg, got {path}")
        archive.check_target(path, overwrite=options.force or not options.output)
        if path.exists() and path.samefile(options.archive):
            raise ParameterError(f"{path} is the archive itself: name the picture with -o")
    figure = figure_of(found, normalised=options.normalise)
    for path in paths:
        _save(figure, path)
    print("\n".join(map(str, paths)))
    return 0


def _verify(_):
    from isingflow import verification

    failed = 0
    for check in verification.checks():
        print(check)
        failed += not check.passed
    print(f"{failed} failed" if failed else "all values agree")
    return 1 if failed else 0
