"""What the scripts of the figures share: options, an archive read or computed, a picture."""

import argparse
from pathlib import Path

from isingflow.archive import read, write

ROOT = Path(__file__).resolve().parent.parent


def main(words, name, study, figure, *, table=None):
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
    """
    parser = argparse.ArgumentParser(description=words, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--archive", type=Path, default=ROOT / "data" / f"{name}.h5", help="archive to draw")
    source.add_argument("--quick", action="store_true", help="compute small systems or few samples first")
    source.add_argument("--full", action="store_true", help="compute everything first")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "figures" / f"{name}.png", help="picture")
    options = parser.parse_args()

    if options.quick or options.full:
        size = "quick" if options.quick else "full"
        command = f"paper_scripts/{name}.py --{size}"
        archive = study(quick=options.quick, workers=options.workers, command=command)
        target = ROOT / "results" / f"{size}_{name}.h5"
        target.parent.mkdir(exist_ok=True)
        write(target, archive, overwrite=True)
    else:
        archive = read(options.archive)
    if table:
        print(table(archive))
    figure(archive).savefig(options.output)
    print(options.output)
