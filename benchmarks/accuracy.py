"""The same relative entropies from the same samples, by isingflow and by the packages that pip installs beside it.

Exact values are known in every case. Each package works in a virtual environment of its own, made on first use in
``--environments`` (about 2 GB in all), in one single-threaded process for each case. Times are ratios to isingflow's
default within one run.
"""

import argparse
import dataclasses
import functools
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from tqdm import tqdm

from isingflow.ising import square

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isingflow" / "benchmarks"
SEED = 20240607
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)


@dataclasses.dataclass(frozen=True)
class Package:
    """A peer: what pip installs, the Python it needs, and the kinds of samples that it can take."""

    name: str
    version: str
    kinds: tuple
    python: tuple = (3, 11)
    beside: tuple = ()

    @property
    def adapter(self):
        return HERE / "peers" / f"with_{self.name.replace('-', '_')}.py"


ISINGFLOW = Package("isingflow", "", ("floats", "windows", "statistics", "configurations"))
PEERS = (
    Package("infomeasure", "0.6.3", ("floats", "windows", "configurations")),
    Package("npeet-plus", "0.2.0", ("floats",)),
    Package("divergence", "1.8.0", ("floats", "windows", "configurations"), python=(3, 12)),
    Package("dit", "2.3", ("windows", "configurations")),
    Package("pymbar", "4.0.3", ("statistics",)),
)


# samples, one repetition of each: a dict from what `peers/adapter.py` calls them to arrays


def scalar_normals(rng, *, n, m):
    return {"floats_p": rng.normal(size=(n, 1)), "floats_q": 1 + 2 * rng.normal(size=(m, 1))}


def normals(rng, *, d, n):
    def draw(correlation, scale, mean):
        covariance = scale * correlation ** np.abs(np.subtract.outer(np.arange(d), np.arange(d)))
        return mean + rng.normal(size=(n, d)) @ np.linalg.cholesky(covariance).T

    return {"floats_p": draw(0.6, 1.0, 0.0), "floats_q": draw(0.3, 1.2, 0.1)}


def disjoint_uniforms(rng, *, n):
    return {"floats_p": rng.random((n, 1)), "floats_q": 2 + rng.random((n, 1))}


def chain_windows(rng, *, width, n):
    """Windows of the infinite chain: neighbours are equal with probability ``e^K / (2 cosh K)``."""

    def draw(coupling):
        first = np.where(rng.random((n, 1)) < 0.5, 1, -1)
        bonds = np.where(rng.random((n, width - 1)) < 1 / (1 + math.exp(-2 * coupling)), 1, -1)
        return np.cumprod(np.concatenate([first, bonds], axis=1), axis=1).astype(np.int8)

    return {"windows_p": draw(0.6), "windows_q": draw(0.3)}


@functools.cache
def small_torus():
    """Every configuration of the 4x4 torus, its sum over nearest pairs, and its probability for both couplings."""
    spins = square.configurations(4)
    laws = [square.boltzmann_probabilities(coupling, side=4) for coupling in (0.4407, 0.3)]
    return spins.reshape(-1, 16), square.statistics(spins)[:, :1].astype(float), laws


def torus(rng, *, n):
    spins, pairs, laws = small_torus()
    drawn = [rng.choice(len(spins), size=n, p=law) for law in laws]
    return {
        **{f"statistics_{name}": pairs[one] for name, one in zip("pq", drawn, strict=True)},
        "statistics_couplings_p": np.array([0.4407]),
        "statistics_couplings_q": np.array([0.3]),
        **{f"configurations_{name}": spins[one] for name, one in zip("pq", drawn, strict=True)},
    }


def autoregressions(rng, *, inefficiency, n):
    """Stationary AR(1) series of N(0, 1) and N(1, sd 2); the statistical inefficiency is that of their means."""
    memory = (inefficiency - 1) / (inefficiency + 1)

    def draw():
        noise = rng.normal(size=n)
        noise[1:] *= math.sqrt(1 - memory**2)
        return lfilter([1.0], [1.0, -memory], noise)[:, None]

    p, q = draw(), 1 + 2 * draw()
    return {
        "floats_p": p,
        "floats_q": q,
        "statistics_p": np.concatenate([p, p**2], axis=1),
        "statistics_q": np.concatenate([q, q**2], axis=1),
        "statistics_couplings_p": np.array([0.0, -0.5]),
        "statistics_couplings_q": np.array([0.25, -0.125]),
    }


@dataclasses.dataclass(frozen=True)
class Case:
    """A pair of laws, their exact relative entropy in nats, and how one repetition is drawn."""

    name: str
    exact: float
    draw: Callable
    quick: bool = False

    def samples(self, repetitions):
        """Return arrays of all repetitions; couplings are the same in each."""
        key = zlib.crc32(self.name.encode())  # of the case alone: adding or leaving out cases changes no sample
        drawn = [self.draw(np.random.default_rng([SEED, key, i])) for i in range(repetitions)]
        return {
            name: drawn[0][name] if "couplings" in name else np.stack([one[name] for one in drawn]) for name in drawn[0]
        }


CASES = (
    Case("normal, d = 1, n = m = 1000", 0.4431471805599453, functools.partial(scalar_normals, n=1000, m=1000)),
    Case(
        "normal, d = 1, n = 1000, m = 3000",
        0.4431471805599453,
        functools.partial(scalar_normals, n=1000, m=3000),
        quick=True,
    ),
    Case("normal, d = 5, n = 1000", 0.4265607676032722, functools.partial(normals, d=5, n=1000)),
    Case("normal, d = 50, n = 1000", 5.090435646174090, functools.partial(normals, d=50, n=1000)),
    Case("disjoint uniform, n = 1000", math.inf, functools.partial(disjoint_uniforms, n=1000)),
    Case(
        "chain, 8 spins, n = 10^4", 0.2472424727308552, functools.partial(chain_windows, width=8, n=10**4), quick=True
    ),
    Case("chain, 12 spins, n = 10^5", 0.3885238857199153, functools.partial(chain_windows, width=12, n=10**5)),
    Case("4x4 torus, n = 1000", 0.7879292129159348, functools.partial(torus, n=1000), quick=True),
    Case("AR(1) series, n = 10^4", 0.4431471805599453, functools.partial(autoregressions, inefficiency=20, n=10**4)),
)


# environments and processes


class UnavailableError(Exception):
    """Why a package cannot be compared, in one line."""


def interpreter(at_least):
    """Return a Python of at least that version: this one, one on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which(f"python3.{minor}") for minor in range(at_least[1], at_least[1] + 4)]
    for candidate in (sys.executable, *filter(None, found), *sorted(pyenv.glob("versions/3.*/bin/python3"))):
        asked = subprocess.run(
            [candidate, "-c", f"import sys; sys.exit(sys.version_info < {at_least})"], capture_output=True, check=False
        )
        if asked.returncode == 0:
            return candidate
    raise UnavailableError(f"needs Python {at_least[0]}.{at_least[1]} or newer, and none was found")


def environment(package, directory):
    """Return the Python of the package's environment, made if it is not there."""
    home = directory / f"{package.name}-{package.version}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready = home / "ready"
    if not ready.exists():
        print(f"installing {package.name} {package.version} into {home}", file=sys.stderr)
        run([interpreter(package.python), "-m", "venv", "--clear", home])
        run([python, "-m", "pip", "install", "--quiet", f"{package.name}=={package.version}", *package.beside])
        ready.touch()
    return python


def run(command, **settings):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **settings)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        errors = [line for line in said if line.startswith("ERROR")]
        raise UnavailableError((errors or said)[-1])


def estimates(package, python, samples_file, seconds):
    """Let a process of the package estimate one case; return what it found."""
    settings = os.environ | ONE_THREAD
    settings.pop("PYTHONPATH", None)
    if package is ISINGFLOW:
        settings["PYTHONPATH"] = str(HERE.parent)
    results_file = samples_file.with_suffix(".json")
    run([python, package.adapter, samples_file, results_file, seconds], env=settings)
    return json.loads(results_file.read_text())


# the table


def summary(case, package, record):
    """Return one row: moments over the finite values, and how many are not."""
    row = {"case": case.name, "exact": case.exact, "package": package.name, **record}
    if not record["available"]:
        return row
    values = [value for value in record["values"] if value is not None]
    finite = np.array([value for value in values if math.isfinite(value)])
    row |= {
        "runs": len(record["values"]),
        "finite": len(finite),
        "infinite": sum(map(math.isinf, values)),
        "nan": sum(map(math.isnan, values)),
        "refused": len(record["values"]) - len(values),
        "median_seconds": float(np.median(record["seconds"])),
    }
    if len(finite):
        row["mean"] = float(finite.mean())
    if len(finite) and math.isfinite(case.exact):
        row["bias"] = float(finite.mean()) - case.exact
        row["rms"] = float(np.sqrt(np.mean((finite - case.exact) ** 2)))
    if len(finite) > 1:
        row["sd"] = float(finite.std(ddof=1))
    given = [pair for pair in zip(record["values"], record["errors"], strict=True) if pair[1] is not None]
    claims = [(value, error) for value, error in given if math.isfinite(value) and math.isfinite(error)]
    row["no_error"] = sum(math.isfinite(value) for value, _ in given) - len(claims)
    if claims and math.isfinite(case.exact):
        row["claimed"] = float(np.mean([error for _, error in claims]))
        row["coverage"] = float(np.mean([abs(value - case.exact) <= error for value, error in claims]))
    return row


def add_ratios(rows):
    """Compare times with isingflow's first method for the same kind of samples of the same case."""
    unit = {}
    for row in rows:
        if row["package"] == ISINGFLOW.name and row["available"]:
            unit.setdefault((row["case"], row["kind"]), row["median_seconds"])
    for row in rows:
        if row["available"] and (row["case"], row["kind"]) in unit:
            row["time"] = row["median_seconds"] / unit[row["case"], row["kind"]]


HEADER = ("case (exact)", "package", "method", "mean", "bias", "sd", "rms", "claimed", "covers", "time", "runs")
TEXT = {"case (exact)", "package", "method", "runs"}


def cells(row):
    if not row["available"]:
        return [row["package"], row["method"], *["-"] * 7, "not available"]
    labels = {"infinite": "inf", "nan": "NaN", "refused": "refused", "no_error": "without error"}
    others = [f"{row[name]} {label}" for name, label in labels.items() if row[name]]
    numbers = [
        f"{row[name]:{sign}.4f}" if name in row else "-"
        for name, sign in (("mean", ""), ("bias", "+"), ("sd", ""), ("rms", ""), ("claimed", ""))
    ]
    return [
        row["package"],
        row["method"],
        *numbers,
        f"{row['coverage']:.0%}" if "coverage" in row else "-",
        f"{row['time']:.2g}" if "time" in row else "-",
        f"{row['finite']} of {row['runs']}: {', '.join(others)}" if others else str(row["runs"]),
    ]


def table(rows, markdown):
    lines = [HEADER, *([f"{row['case']} ({row['exact']:.6g})", *cells(row)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    aligned = [
        [
            cell.ljust(width) if name in TEXT else cell.rjust(width)
            for name, cell, width in zip(HEADER, line, widths, strict=True)
        ]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(line)} |" if markdown else "  ".join(line).rstrip() for line in aligned)


LEGEND = """\
Nats. Mean, bias, standard deviation (sd), root mean square error (rms), claimed standard error and its coverage
(covers: one sigma, 68 % if honest) are over the finite values of the runs; the others are counted. The bias is known
to sd / sqrt(runs). Only isingflow and pymbar claim an error. Time: median, as a ratio to isingflow's default for the
same samples, error bar included where there is one."""


def refusals(rows):
    """One line for each method and message."""
    for row in rows:
        for message, times in Counter(filter(None, row.get("refusals", ()))).items():
            yield f"{row['package']}, {row['method']}, {row['case']}: {times} times {message}"


def plain(value):
    """JSON has no infinity: spell it out."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=40, help="samples of each case (40)")
    parser.add_argument("--seconds", type=float, default=15.0, help="a method stops after the run that ends later (15)")
    parser.add_argument("--quick", action="store_true", help="three cases, 4 repetitions and a second")
    parser.add_argument("--environments", type=Path, default=CACHE, metavar="DIR", help=f"of the packages ({CACHE})")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value, error and time too")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    options = parser.parse_args()
    if options.quick:
        options.repetitions, options.seconds = 4, 1.0
    cases = [case for case in CASES if case.quick or not options.quick]
    if options.repetitions < 2:
        parser.error(f"--repetitions must be at least 2, got {options.repetitions}")

    pythons, missing = {ISINGFLOW: sys.executable}, []
    for package in PEERS:
        try:
            pythons[package] = environment(package, options.environments)
        except UnavailableError as error:
            missing.append(f"{package.name} {package.version} is not compared: {error}")

    rows, versions = [], {}
    with tempfile.TemporaryDirectory() as directory, tqdm(total=len(cases) * len(pythons), disable=None) as progress:
        for case in cases:
            samples = case.samples(options.repetitions)
            for package, python in pythons.items():
                progress.update()
                taken = {name: one for name, one in samples.items() if name.startswith(package.kinds)}
                if not taken:
                    continue
                samples_file = Path(directory) / "samples.npz"
                np.savez(samples_file, **taken)
                try:
                    found = estimates(package, python, samples_file, options.seconds)
                except UnavailableError as error:
                    missing.append(f"{package.name}, {case.name}: the process failed: {error}")
                    continue
                versions[package.name] = found["versions"]
                rows += [summary(case, package, record) for record in found["results"]]
    order = [case.name for case in cases]
    rows.sort(key=lambda row: (order.index(row["case"]), ISINGFLOW.kinds.index(row["kind"])))
    add_ratios(rows)

    print(table(rows, options.markdown))
    print(f"\n{LEGEND}\n")
    print("Versions: " + ", ".join(f"{name} {found[name]}" for name, found in versions.items()) + ".")
    for line in (*missing, *refusals(rows)):
        print(f"- {line}")
    if options.json:
        record = {"seed": SEED, "repetitions": options.repetitions, "versions": versions, "rows": rows}
        options.json.write_text(json.dumps(plain(record), indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
