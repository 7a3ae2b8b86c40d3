"""Mean-field theory beside neural-tangents, and beside searches with quadratures. Medians of 5, one thread, one run.

neural-tangents works in an environment of its own, made on first use in ``--environments`` (about 2 GB).
"""

import argparse
import functools
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy
from accuracy import CACHE, ONE_THREAD, Package, UnavailableError, environment, run
from scipy import integrate
from threadpoolctl import threadpool_limits

from isingflow.network import meanfield
from isingflow.network.gaussian_process import nngp_levels, ntk_levels
from isingflow.parameters import NetworkParameters

RUNS = 5
POINTS = ((1.5, 0.05), (2.5, 0.1), (1.0, 0.3))
DEPTH, FEATURES = 20, 20
# tanh by their quadrature of 50 nodes a variable: what deviates there is that
ACTIVATIONS = ("erf", "relu", "leaky_relu(0.2)", "tanh")
NEURAL_TANGENTS = Package(
    "neural-tangents", "0.6.5", (), beside=("jax==0.4.30", "jaxlib==0.4.30", "numpy<2", "tf2jax==0.3.5")
)
FROZEN = {"activations": ("erf", "relu"), "points": POINTS[:2], "levels": (1, 5, 20), "inputs": 4}


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work):
    """Of RUNS after one to warm up."""
    work()
    return statistics.median(seconds(work) for _ in range(RUNS))


# kernels of several inputs


def some_inputs(count):
    """Float64 (count, FEATURES), of six different norms."""
    one, feature = np.arange(count)[:, None], np.arange(FEATURES)
    return (1 + one % 6) / 3 * np.cos((one + 1) * (feature + 1) + one)


def case(activation, point, count, runs=0):
    weight, bias = point
    return {
        "name": f"{activation}, {weight:g}, {bias:g}, {count}",
        "activation": activation,
        "weight_variance": weight,
        "bias_variance": bias,
        "depth": DEPTH,
        "inputs": some_inputs(count).tolist(),
        "runs": runs,
    }


def ours(one):
    """Return the network and its kernel at level 0."""
    network = NetworkParameters(
        width=1, **{name: one[name] for name in ("activation", "weight_variance", "bias_variance", "depth")}
    )
    inputs = np.array(one["inputs"])
    return network, network.weight_variance * inputs @ inputs.T / FEATURES + network.bias_variance


def theirs(cases, directory):
    """Return results by name of case, and versions, from a process of neural-tangents with one thread."""
    python = environment(NEURAL_TANGENTS, directory)
    settings = os.environ | ONE_THREAD | {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    settings["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    settings.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as temporary:
        cases_file, results_file = Path(temporary) / "cases.json", Path(temporary) / "results.json"
        cases_file.write_text(json.dumps(cases))
        run([python, NEURAL_TANGENTS.adapter, cases_file, results_file], env=settings)
        found = json.loads(results_file.read_text())
    return found["results"], found["versions"]


def deviations(one, result):
    """Return the largest relative ones: NNGP, and NTK between different inputs and of an input with itself.

    For relu neural-tangents takes the angle of an input with itself from the root of a rounding error; ours is exact
    there (tests/test_gaussian_process.py).
    """
    network, kernel = ours(one)
    nngp = np.abs(nngp_levels(kernel, network).kernels / np.array(result["nngp"]) - 1)
    ntk = np.abs(ntk_levels(kernel, network) / np.array(result["ntk"]) - 1)
    same = np.eye(len(kernel), dtype=bool)
    return nngp.max(), ntk[:, ~same].max(), ntk[:, same].max()


def agreement(cases, results):
    count = len(cases[0]["inputs"])
    print(f"kernels of {count} inputs of different norms, levels 0 to {DEPTH}: largest relative deviations")
    print(f"  {'activation':<16}{'weight, bias':>14}{'NNGP':>11}{'NTK a != b':>12}{'NTK a = b':>12}")
    for one in cases:
        point = f"{one['weight_variance']:g}, {one['bias_variance']:g}"
        nngp, different, same = deviations(one, results[one["name"]])
        print(f"  {one['activation']:<16}{point:>14}{nngp:>11.1e}{different:>12.1e}{same:>12.1e}")


def kernel_times(cases, results):
    count = len(cases[0]["inputs"])
    print(f"\nkernels of {count} inputs through {DEPTH} layers, ms; ours are of all levels, theirs of the last")
    print(f"  {'activation':<16}{'kernel':>7}{'isingflow':>11}{'neural-tangents':>17}{'ratio':>7}{'first call':>12}")
    for one in cases:
        network, kernel = ours(one)
        for name, levels in (("nngp", nngp_levels), ("ntk", ntk_levels)):
            taken = median(functools.partial(levels, kernel, network))
            times = results[one["name"]][name]
            warm = statistics.median(times["others"])
            print(
                f"  {one['activation']:<16}{name.upper():>7}{1e3 * taken:>11.2f}{1e3 * warm:>17.2f}"
                f"{warm / taken:>7.2f}{1e3 * times['first']:>12.0f}"
            )


def write_reference(file, cases, results, versions):
    """Freeze some kernels of neural-tangents, every number with 17 digits."""
    records = []
    for one in cases:
        found = results[one["name"]]
        records.append(
            {name: one[name] for name in ("activation", "weight_variance", "bias_variance")}
            | {"kernel": found["nngp"][0]}
            | {name: {level: found[name][level] for level in FROZEN["levels"]} for name in ("nngp", "ntk")}
        )
    made = {"made_by": "benchmarks/meanfield.py --reference", "versions": versions}
    lines = ",\n".join(json.dumps(record, separators=(",", ":")) for record in records)
    file.write_text(f'{json.dumps(made)[:-1]}, "records": [\n{lines}\n]}}\n')


# fixed points


def grid(side):
    return np.meshgrid(np.linspace(0.5, 4.0, side), np.linspace(0.0, 0.5, side))


def normal_mean(function):
    """Return E[function(x)], x ~ N(0, 1), by quadrature over the whole line."""
    mean, _ = integrate.quad(lambda x: function(x) * math.exp(-x * x / 2), -math.inf, math.inf)
    return mean / math.sqrt(2 * math.pi)


def pair_mean(function, variance, correlation, reach=math.inf):
    """Return E[function(u) function(v)] by quadrature over two independent normal variables."""
    scale, rest = math.sqrt(variance), math.sqrt(1 - correlation**2)

    def weighted(y, x):
        v = correlation * x + rest * y
        return function(scale * x) * function(scale * v) * math.exp(-(x * x + y * y) / 2)

    return integrate.dblquad(weighted, -reach, reach, -reach, reach)[0] / (2 * math.pi)


def crossing(points, image, otherwise=None):
    """Return where the line through the image of a grid first crosses the diagonal."""
    gaps = image - points
    flips = np.flatnonzero(np.diff(np.sign(gaps)))
    if not len(flips):
        return otherwise
    i = flips[0]
    return points[i] + (points[i + 1] - points[i]) * gaps[i] / (gaps[i] - gaps[i + 1])


def search(weight, bias):
    """Return q*, c* and xi_c of tanh by search over a grid of quadratures.

    The grids, of step 0.05, and the ranges of integration are those of Gaussian_Feedforward_Analysis.ipynb of
    github.com/ro-jefferson/entropy_dnn; the functions of one number are Python's, which are faster there than numpy's.
    """
    points = np.arange(0, 2, 0.05)
    image = [weight * normal_mean(lambda x, q=q: math.tanh(math.sqrt(q) * x) ** 2) + bias for q in points]
    variance = crossing(points, np.array(image))
    points = np.linspace(0, 1, 21)
    image = [(weight * pair_mean(math.tanh, variance, correlation) + bias) / variance for correlation in points]
    correlation = crossing(points, np.array(image), otherwise=1.0)
    slope = weight * pair_mean(lambda z: 1 / math.cosh(z) ** 2, variance, correlation, reach=100.0)
    return variance, correlation, -1 / math.log(slope)


def fixed_point_times(side):
    weights, biases = grid(side)
    print(f"\nmeanfield.solve on a {side} x {side} grid, weight variances 0.5 to 4, bias variances 0 to 0.5")
    print(f"  {'activation':<16}{'s':>8}{'us a point':>12}")
    each = {}
    for activation in ("tanh", "erf", "hard_tanh", "relu", "leaky_relu", "linear"):
        taken = median(functools.partial(meanfield.solve, weights, biases, activation=activation))
        each[activation] = taken / weights.size
        print(f"  {activation:<16}{taken:>8.3f}{1e6 * each[activation]:>12.2f}")

    print("\ntanh by search over a grid of quad and dblquad integrals, as in the notebook, beside meanfield.solve")
    print(f"  {'weight, bias':<16}{'':<10}{'q*':>14}{'c*':>14}{'xi_c':>14}{'us a point':>12}{'ratio':>9}")
    for point in ((1.5, 0.05), (2.5, 0.05)):
        solved = meanfield.solve(*point)
        rows = {
            "isingflow": ((solved.variance, solved.correlation, solved.xi_c), each["tanh"]),
            "search": (search(*point), median(functools.partial(search, *point))),
        }
        for name, (values, taken) in rows.items():
            numbers = "".join(f"{value:>14.9f}" for value in values)
            label = f"{point[0]:g}, {point[1]:g}"
            print(f"  {label:<16}{name:<10}{numbers}{1e6 * taken:>12.4g}{taken / each['tanh']:>9.2g}")


def machine():
    """Return processor, number of cores, load of the last minute, and versions."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), model)
    load = f", load {os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else ""
    python = f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}"
    return f"{model}, {os.cpu_count()} cores{load}; {python}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a grid of 40 x 40, and no times of tanh kernels")
    parser.add_argument("--environments", type=Path, default=CACHE, metavar="DIR", help=f"of the packages ({CACHE})")
    parser.add_argument("--reference", type=Path, metavar="FILE", help="write the kernels the tests compare with, only")
    options = parser.parse_args()
    print(f"{machine()}; medians of {RUNS}, one thread")

    if options.reference:
        frozen = [case(name, point, FROZEN["inputs"]) for name in FROZEN["activations"] for point in FROZEN["points"]]
        write_reference(options.reference, frozen, *theirs(frozen, options.environments))
        return
    compared = [case(name, point, 6) for name in ACTIVATIONS for point in POINTS]
    timed = [case(name, POINTS[0], 50, RUNS) for name in ACTIVATIONS if name != "tanh" or not options.quick]
    with threadpool_limits(limits=1):
        try:
            results, versions = theirs([*compared, *timed], options.environments)
        except UnavailableError as error:
            print(f"neural-tangents {NEURAL_TANGENTS.version} is not compared: {error}", file=sys.stderr)
        else:
            print("theirs: " + ", ".join(f"{name} {found}" for name, found in versions.items()) + ", float64")
            agreement(compared, results)
            kernel_times(timed, results)
        fixed_point_times(40 if options.quick else 200)


if __name__ == "__main__":
    main()
