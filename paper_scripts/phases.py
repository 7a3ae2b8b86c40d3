"""The phase diagram of random tanh networks, the maps behind it, and activations along the edge of chaos.

Draws figures/phases.png from data/phases.h5, or from --archive FILE. --quick and --full (seconds, both) compute a new
archive in results/ first.
"""

import argparse
from pathlib import Path

from isingflow.archive import read, write
from isingflow.plotting.phases import phases_figure

ROOT = Path(__file__).resolve().parent.parent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--archive", type=Path, default=ROOT / "data" / "phases.h5", help="archive to draw")
    source.add_argument("--quick", action="store_true", help="compute a coarse diagram first")
    source.add_argument("--full", action="store_true", help="compute everything first")
    parser.add_argument("--output", type=Path, default=ROOT / "figures" / "phases.png", help="picture")
    options = parser.parse_args()

    if options.quick or options.full:
        import numpy as np

        from isingflow.study import PLANE, phases

        points = 41 if options.quick else 141
        axes = {name: np.linspace(*bounds, points) for name, bounds in PLANE.items()}
        archive = phases(**axes, command="paper_scripts/phases.py")
        target = ROOT / "results" / ("quick_phases.h5" if options.quick else "phases.h5")
        target.parent.mkdir(exist_ok=True)
        write(target, archive, overwrite=True)
    else:
        archive = read(options.archive)
    phases_figure(archive).savefig(options.output)
    print(options.output)


if __name__ == "__main__":
    main()
