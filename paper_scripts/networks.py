"""Random tanh networks from the ordered to the chaotic phase: curves of three kinds, histograms, the scale.

Draws figures/networks.png from data/networks.h5, or from --archive FILE. --quick (seconds) and --full (a minute)
compute a new archive in results/ first.
"""

import argparse
from pathlib import Path

from isingflow.archive import read, write
from isingflow.plotting.networks import networks_figure

ROOT = Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--archive", type=Path, default=ROOT / "data" / "networks.h5", help="archive to draw")
    source.add_argument("--quick", action="store_true", help="compute small networks first")
    source.add_argument("--full", action="store_true", help="compute everything first")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=ROOT / "figures" / "networks.png", help="picture")
    options = parser.parse_args()

    if options.quick or options.full:
        from isingflow.study import networks

        archive = networks(quick=options.quick, workers=options.workers, command="paper_scripts/networks.py")
        target = ROOT / "results" / ("quick_networks.h5" if options.quick else "networks.h5")
        target.parent.mkdir(exist_ok=True)
        write(target, archive, overwrite=True)
    else:
        archive = read(options.archive)
    networks_figure(archive).savefig(options.output)
    print(options.output)


if __name__ == "__main__":
    main()
