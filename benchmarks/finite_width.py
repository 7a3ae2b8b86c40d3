"""Corrections of order 1/width against simulated networks: what docs/meanfield.md and docs/method.md quote.

About six minutes on two cores.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

from isingflow.archive import read
from isingflow.flow.network import curve_of
from isingflow.network import meanfield
from isingflow.network.finite_width import pair_correction
from isingflow.network.inputs import digits, normalise
from isingflow.network.propagation import propagate
from isingflow.parameters import EnsembleParameters, NetworkParameters
from isingflow.study import compare_tasks

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))

import test_finite_width as simulation  # noqa: E402  the control variates are there

OBSERVED = ("mean of q", "fluctuation of q", "gap", "pair curve")
LEVELS = (10, 35)
NETWORKS = (700, 700, 1700, 2700)
"""At each of the widths."""


def coefficients():
    widths = simulation.WIDTHS.tolist()
    print(f"coefficients of 1/width, simulated over predicted, widths {widths}, networks {list(NETWORKS)}")
    for name, weight in simulation.POINTS.items():
        sizes = zip(widths, NETWORKS, strict=True)
        ensembles = [
            simulation.simulated(simulation.network_of(weight, depth=max(LEVELS), width=width), count, width)
            for width, count in sizes
        ]
        found, errors = simulation.extrapolated(ensembles)
        expected = simulation.predicted(simulation.network_of(weight, depth=max(LEVELS)))
        for level in LEVELS:
            ratios, relative = found[:, level] / expected[:, level], errors[:, level] / np.abs(expected[:, level])
            rows = zip(OBSERVED, ratios, relative, strict=True)
            words = ", ".join(f"{quantity} {ratio:.3f}+-{error:.3f}" for quantity, ratio, error in rows)
            print(f"  {name}, sigma_w^2 = {weight:g}, level {level}: {words}", flush=True)


def at_the_edge(networks=1500):
    weight = meanfield.critical_weight_variance(0.05)
    variance = meanfield.fixed_point_variance(weight, 0.05)
    network = NetworkParameters(weight_variance=weight, bias_variance=0.05, depth=40, width=512)
    theory = pair_correction(variance, 0.4, network)
    simulation.START = (variance, 0.4)
    found = simulation.simulated(network, networks, 1)[:, 3, 40] / 512 / theory.curve[40]
    error = found.std(ddof=1) / np.sqrt(networks)
    print("\npair at the edge of chaos, from q* and c = 0.6, width 512, level 40: above mean field by")
    print(f"  {theory.curve_correction[40] / 512 / theory.curve[40]:.2%} in theory, ", end="")
    print(f"{found.mean():.2%} +- {error:.2%} in {networks} networks", flush=True)


def many_networks(networks, deep, seed):
    print(f"\nnetworks of `isingflow compare`, without drawn weights, {networks} ({deep} deep ones), seed {seed}:")
    print("  distances in standard errors, rms and largest over all levels but 0, from the two references")
    for task in compare_tasks():
        if not isinstance(task, EnsembleParameters) or task.ensemble != "conditional":
            continue
        count = deep if task.label else networks
        found = propagate(normalise(digits([0, 1])), task.network, networks=count, rng=seed, workers=2)
        for inputs in task.followed:
            plain, corrected = (
                curve_of(found, inputs=inputs, label=task.label, reference=name) for name in ("mean field", "1/width")
            )
            words = [f"{name} {_distances(curve)}" for name, curve in (("mean field", plain), ("1/width", corrected))]
            print(f"  {plain.quantity}, {task.network.weight_variance:g}: {', '.join(words)}", flush=True)


def _distances(curve):
    pulls = (curve.value - curve.exact)[1:] / curve.error[1:]
    return f"{np.sqrt(np.mean(pulls**2)):.2f}, {np.abs(pulls).max():.2f}"


def archived(path):
    """The networks of an archive by regime, against both references."""
    curves = [curve for curve in read(path).curves if curve.system == "network"]
    print(f"\nnetworks in {path.name}: percent (median, largest) and standard errors (rms, largest)")
    rows = {}
    for curve in curves:
        plain = _mean_field(curve)
        for regime in (curve.regime, "all"):
            row = rows.setdefault(regime, {"mean field": [], "1/width": []})
            for name, exact in (("mean field", plain), ("1/width", curve.exact)):
                away = (curve.value - exact)[1:]
                row[name].append((np.abs(away / exact[1:]), away / curve.error[1:]))
    for regime, row in rows.items():
        words = []
        for name, found in row.items():
            share, pull = (np.concatenate(column) for column in zip(*found, strict=True))
            percent = f"{np.median(share):.2%}, {share.max():.2%}"
            words.append(f"{name} {percent}; {np.sqrt(np.mean(pull**2)):.2f}, {np.abs(pull).max():.2f}")
        print(f"  {regime}, {sum(len(pull) for _, pull in found)} points: {' | '.join(words)}")


def _mean_field(curve):
    """The same curve's reference without its correction."""
    given = {field.name for field in dataclasses.fields(NetworkParameters)}
    network = NetworkParameters(**{name: value for name, value in curve.parameters.items() if name in given})
    pair = normalise(digits([0, 1]))[: 1 if curve.quantity.startswith("one") else 2]
    return curve_of(propagate(pair, network, networks=20, rng=1), inputs=len(pair)).exact


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=12_000, help="of the comparison (default: %(default)s)")
    parser.add_argument("--deep", type=int, default=4_000, help="of its deep ones (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=11, help="of these (default: %(default)s)")
    parser.add_argument("--archive", type=Path, default=ROOT / "data" / "compare.h5", help="default: data/compare.h5")
    options = parser.parse_args()
    archived(options.archive)
    coefficients()
    at_the_edge()
    many_networks(options.networks, options.deep, options.seed)


if __name__ == "__main__":
    main()
