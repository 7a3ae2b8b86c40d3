"""Sampling the square lattice beside mcising, and beside what the processor could do at most.

Runs alternate, ours and theirs, on one core; numbers are medians. mcising works in an environment of its own, made on
first use in ``--environments``. ``--save`` keeps the report, with the machine, in benchmarks/results.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numba
import numpy as np
from accuracy import CACHE, ONE_THREAD, Package, environment
from numba import njit

from isingflow.errors import ShortRunWarning
from isingflow.ising import _words, chains
from isingflow.ising.sampling import sample_square
from isingflow.ising.square import CRITICAL_COUPLING
from isingflow.resampling import autocorrelation_time

RUNS = 7
MCISING = Package("mcising", "1.1.0", (), beside=("numpy",))
WARM = 0.4
"""Coupling at which local updates are compared: their autocorrelation time is a dozen sweeps."""


class Peer:
    """A running process of mcising."""

    def __init__(self, python):
        command = [python, Path(__file__).parent / "peers" / "with_mcising.py"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, env=os.environ | ONE_THREAD, **pipes)

    def __call__(self, algorithm, side, coupling, updates, *, series=False):
        request = {"algorithm": algorithm, "side": side, "temperature": 1 / coupling, "updates": updates}
        self.process.stdin.write(json.dumps(request | {"series": series}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["series"] if series else answer["seconds"]


def start(kind, side, coupling, **settings):
    """One chain, or 64 of them, at work."""
    rng = np.random.default_rng(1)
    lattices = 64 if settings.get("strips") is False or kind is chains.HeatBath else 1
    couplings = {"coupling": coupling, "field": settings.pop("field", 0.0)}
    if kind is chains.HeatBath:
        couplings |= {"diagonal": 0.0, "plaquette": 0.0}
    rows = chains.start(lattices, side, rng, **couplings)
    return kind(rows, side, rng, **couplings, **settings)


def seconds(work):
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def long_enough(work, target=0.3):
    """Number of updates that take about `target` seconds: ``work(updates)`` returns the seconds."""
    updates = 1
    while (taken := work(updates)) < target / 4:
        updates = max(2 * updates, int(updates * target / 4 / max(taken, 1e-6)))
    return max(1, round(updates * target / taken))


def paired(*works):
    """Seconds an update of each, median and both ends of RUNS alternating runs."""
    numbers = [long_enough(work) for work in works]
    times = [[] for _ in works]
    for _ in range(RUNS):
        for work, updates, found in zip(works, numbers, times, strict=True):
            found.append(work(updates) / updates)
    return [np.array(found) for found in times]


def times_as_fast(ours, theirs):
    """The median of the paired ratios, and their ends."""
    ratios = np.sort(theirs / ours)
    return f"{statistics.median(ratios):.0f} ({ratios[0]:.0f} to {ratios[-1]:.0f})"


@njit
def logic(rounds, out):
    """Eight independent chains of one-instruction functions of three operands: the most a core can do of them."""
    a, b, c = _words.load_eight(out, 0), _words.load_eight(out, 8), _words.load_eight(out, 16)
    d, e, f = _words.load_eight(out, 24), _words.load_eight(out, 32), _words.load_eight(out, 40)
    g, h = _words.load_eight(out, 48), _words.load_eight(out, 56)
    x, y = _words.load_eight(out, 64), _words.load_eight(out, 72)
    for _ in range(rounds):
        a, b = _words.exclusive_or(a, x, y), _words.choose(b, x, y)
        c, d = _words.compare(c, x, y), _words.agree(x, y, d)
        e, f = _words.exclusive_or(e, x, y), _words.choose(f, x, y)
        g, h = _words.compare(g, x, y), _words.agree(x, y, h)
    words = (a, b, c, d, e, f, g, h)
    for k in range(8):
        _words.store_eight(out, 8 * k, words[k])


def operations_per_ns():
    out = np.random.default_rng(1).integers(0, 2**64, 80, np.uint64)
    logic(1, out)
    rounds = 2_000_000
    return 8 * rounds / min(seconds(lambda: logic(rounds, out)) for _ in range(RUNS)) / 1e9


OPERATIONS = {0.0: 12 * (7 + 2 + 2) + 18, 0.1: 12 * (7 + 4 + 2) + 12}
"""Vector instructions for eight words of spins: twelve random bits and their comparison, neighbours."""


def tau(series):
    found = autocorrelation_time(series)
    return found.time, found.error


def local(peer):
    print(f"Local updates at K = {WARM}, one core (against Metropolis of mcising), {RUNS} paired runs")
    most = operations_per_ns()
    print(f"  vector instructions, three operands: {most:.2f} a ns at most")
    ours = start(chains.MultiSpin, 64, WARM, strips=False)
    ours.run(2000, 1)
    record = np.abs(ours.run(2, 4000)[1]).T
    ours_tau, error = (2 * one for one in tau(record))
    peer("metropolis", 64, WARM, 5000)
    metropolis, other = tau(peer("metropolis", 64, WARM, 400_000, series=True))
    print(f"  tau of |m|, L = 64: {ours_tau:.1f}({error:.1f}), mcising {metropolis:.1f}({other:.1f}) sweeps")
    print(
        "  layout    field     L   flips/ns (least, most)  of the bound   mcising    times     independent |m|/s  times"
    )
    for strips, side, field in (
        (False, 64, 0.0),
        (False, 256, 0.0),
        (True, 1024, 0.0),
        (True, 8192, 0.0),
        (False, 64, 0.1),
        (True, 1024, 0.1),
    ):
        chain = start(chains.MultiSpin, side, WARM, strips=strips, field=field)

        def advance(sweeps, chain=chain):
            return seconds(lambda: sweep(chain, sweeps))

        mine, theirs = paired(advance, lambda sweeps, side=side: peer("metropolis", side, WARM, sweeps))
        spins = chain.lattices * side**2
        rate = spins / mine / 1e9
        bound = 512 / OPERATIONS[field] * most
        samples = [chain.lattices / (2 * ours_tau * mine), 1 / (2 * metropolis * theirs)]
        independent = f"{np.median(samples[0]):10.4g} {np.median(samples[0] / samples[1]):8.0f}" if not field else ""
        print(
            f"  {'strips' if strips else 'replicas':9} {field:4} {side:6}  {np.median(rate):6.2f} ({rate.min():.2f}, "
            f"{rate.max():.2f})       {np.median(rate) / bound:5.2f}       {np.median(side**2 / theirs) / 1e9:.3f}   "
            f"{times_as_fast(mine / chain.lattices, theirs):>16}   {independent}"
        )
    general = start(chains.HeatBath, 64, WARM)
    mine, theirs = paired(
        lambda sweeps: seconds(lambda: general.run(sweeps, 1)), lambda sweeps: peer("metropolis", 64, WARM, sweeps)
    )
    rate = np.median(64**3 / mine) / 1e9
    print(f"  all couplings     64  {rate:6.2f}                       times {times_as_fast(mine / 64, theirs)}")


def sweep(chain, sweeps):
    """Sweeps alone, without a record at their end."""
    from isingflow.ising import _multispin

    _multispin.sweep(chain._spins, chain.side, chain.strips, chain._state, chain._bound, sweeps)


def clusters(peer):
    print(f"Clusters at K_c, one core, {RUNS} paired runs")
    print("  algorithm         L   us an update  ns a site   tau of |m|   independent |m|/s   mcising    times")
    for algorithm, single in (("wolff", True), ("swendsen_wang", False)):
        for side in (64, 256, 1024, 2048):
            chain = start(chains.Clusters, side, CRITICAL_COUPLING, single=single)
            chain.run(1, 2000 if side <= 256 else 300)
            record = np.abs(chain.run(1, 40_000 if side <= 256 else 2000)[1]).ravel()
            mine_tau, error = tau(record)

            def advance(updates, chain=chain):
                return seconds(lambda: chain.run(updates, 1))

            if side > 256:
                taken = np.median(paired(advance)[0])
                print(
                    f"  {algorithm:14} {side:5} {1e6 * taken:13.1f} {1e9 * taken / side**2:10.2f}   "
                    f"{mine_tau:5.2f}({error:.2f}) {1 / (2 * mine_tau * taken):16.1f}"
                )
                continue
            peer(algorithm, side, CRITICAL_COUPLING, 2000)
            theirs_tau, _ = tau(peer(algorithm, side, CRITICAL_COUPLING, 40_000 if side == 64 else 10_000, series=True))
            mine, theirs = paired(advance, lambda n, a=algorithm, s=side: peer(a, s, CRITICAL_COUPLING, n))
            samples = 1 / (2 * mine_tau * mine), 1 / (2 * theirs_tau * theirs)
            ratios = np.sort(samples[0] / samples[1])
            print(
                f"  {algorithm:14} {side:5} {1e6 * np.median(mine):13.1f} {1e9 * np.median(mine) / side**2:10.2f}   "
                f"{mine_tau:5.2f}({error:.2f}) {np.median(samples[0]):16.0f} {np.median(samples[1]):12.0f}   "
                f"{statistics.median(ratios):6.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
            )


def two_cores():
    print(f"Two threads against one, the same bits, medians of {RUNS} alternating runs")
    for algorithm, side, coupling, thin in (
        ("replicas", 64, 0.4, 2000),
        ("replicas", 256, 0.4, 100),
        ("strips", 1024, 0.3, 400),
        ("swendsen-wang", 256, CRITICAL_COUPLING, 60),
        ("wolff", 256, CRITICAL_COUPLING, 400),
        ("heat-bath", 32, 0.3, 200),
    ):

        def sample(workers, algorithm=algorithm, side=side, coupling=coupling, thin=thin):
            settings = {"algorithm": algorithm, "burn_in": 0, "thin": thin, "workers": workers}
            chains_of = 128 if algorithm in ("heat-bath", "replicas") else 4
            with warnings.catch_warnings(action="ignore", category=ShortRunWarning):
                return sample_square(coupling, side=side, samples=8 * chains_of, chains=chains_of, rng=1, **settings)

        sample(1)
        times = np.array([[seconds(lambda: sample(1)), seconds(lambda: sample(2))] for _ in range(RUNS)])
        ratios = np.sort(times[:, 0] / times[:, 1])
        same = (sample(1).packed.words == sample(2).packed.words).all()
        median = ratios[len(ratios) // 2]
        print(f"  {algorithm:19} L = {side:5}  {median:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), {same}")


def machine():
    model = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    features = "with" if _words._has_one_instruction() else "without"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = f"Python {platform.python_version()}, numba {numba.__version__}, numpy {np.__version__}"
    return f"{model}, {cores} cores, kernels {features} AVX-512; {versions}; mcising {MCISING.version}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=CACHE, metavar="DIR", help=f"of mcising ({CACHE})")
    parser.add_argument("--save", action="store_true", help="keep the report in benchmarks/results/lattice.txt")
    options = parser.parse_args()
    report = io.StringIO()

    class Both:
        def write(self, text):
            report.write(text)
            sys.__stdout__.write(text)

        def flush(self):
            sys.__stdout__.flush()

    with contextlib.redirect_stdout(Both()):
        print(machine())
        peer = Peer(environment(MCISING, options.environments))
        local(peer)
        clusters(peer)
        two_cores()
    if options.save:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / "lattice.txt").write_text(report.getvalue())


if __name__ == "__main__":
    main()
