"""What recursions of the couplings truncate: their marginals beside the true ones of the square lattice.

Draws figures/truncation.png from data/truncation.h5, or from --archive FILE, and prints the differences. --quick
(half a minute) and --full (minutes) compute a new archive in results/ first.
"""

import argparse
from pathlib import Path

from isingflow.archive import read, write
from isingflow.plotting.truncation import truncation_figure
from isingflow.report import truncation as table

ROOT = Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--archive", type=Path, default=ROOT / "data" / "truncation.h5", help="archive to draw")
    source.add_argument("--quick", action="store_true", help="compute small tori first")
    source.add_argument("--full", action="store_true", help="compute everything first")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "figures" / "truncation.png", help="picture")
    options = parser.parse_args()

    if options.quick or options.full:
        from isingflow.study import truncation

        archive = truncation(quick=options.quick, workers=options.workers, command="paper_scripts/truncation.py")
        target = ROOT / "results" / ("quick_truncation.h5" if options.quick else "truncation.h5")
        target.parent.mkdir(exist_ok=True)
        write(target, archive, overwrite=True)
    else:
        archive = read(options.archive)
    print(table(archive))
    truncation_figure(archive).savefig(options.output)
    print(options.output)


if __name__ == "__main__":
    main()
