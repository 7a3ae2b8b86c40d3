"""What the scripts of the figures share: options, an archive read or computed, a picture."""

import argparse
from pathlib import Path

from isingflow.archive import read, write

ROOT = Path(__file__).resolve().parent.parent


def part(text):
    """Read K/N, two whole numbers with 1 <= K <= N."""
    try:
        number, shares = map(int, text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be K/N, such as 3/40, got {text!r}") from None
    if not 1 <= number <= shares:
        raise argparse.ArgumentTypeError(f"K/N must have K from 1 to N, got {text!r}")
    return number, shares


def main(words, name, study, figure, *, table=None, shared=False):
    """Draw figures/NAME.png, from data/NAME.h5 or an archive that is computed first.

    Parameters
    ----------
    words : str
        What the figure shows, for ``--help``.
    name : str
        Of the figure.
    study : callable
        ``study(quick=, workers=, command=)``, which computes the archive.
    figure : callable
        ``figure(archive)``, which draws it.
    table : callable, optional
        ``table(archive)``: text that is printed.
    shared : bool
        Whether the study keeps finished tasks in a folder, and can be shared out: ``study(folder=, part=)``.
    """
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--archive", type=Path, default=ROOT / "data" / f"{name}.h5", help="archive to draw")
    source.add_argument("--quick", action="store_true", help="compute small systems or few samples first")
    source.add_argument("--full", action="store_true", help="compute everything first")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "figures" / f"{name}.png", help="picture")
    if shared:
        parser.add_argument("--folder", type=Path, help="keep finished tasks here, and go on from those that are there")
        parser.add_argument(
            "--part", type=part, default=(1, 1), metavar="K/N", help="only the K-th of N shares (needs --folder)"
        )
    options = parser.parse_args()
    if shared and options.part != (1, 1) and not options.folder:
        parser.error("--part needs --folder, where all shares meet")

    if options.quick or options.full:
        size = "quick" if options.quick else "full"
        command = f"paper_scripts/{name}.py --{size}"
        settings = {"folder": options.folder, "part": options.part} if shared else {}
        archive = study(quick=options.quick, workers=options.workers, command=command, **settings)
        if archive is None:
            print(f"this share is done and kept in {options.folder}; run it again when the others are there, too")
            return
        target = ROOT / "results" / f"{size}_{name}.h5"
        target.parent.mkdir(exist_ok=True)
        write(target, archive, overwrite=True)
    else:
        archive = read(options.archive)
    if table:
        print(table(archive))
    figure(archive).savefig(options.output)
    print(options.output)
