"""What each package's process does: read samples, estimate each repetition, write values, errors and seconds.

Runs inside the package's own environment, on Python, numpy and the package alone. The samples are an ``.npz`` file
with ``<kind>_p`` and ``<kind>_q`` (repetitions, n, d). Kinds: floats, windows (of a chain of spins), configurations (of
a lattice of spins) and statistics of Boltzmann laws ``exp(statistics @ couplings)``, which come with
``statistics_couplings_p`` and ``statistics_couplings_q`` (d,).
"""

import importlib.metadata
import json
import sys
import time

import numpy as np


def main(distribution, methods):
    """Estimate everything and write the results.

    Parameters
    ----------
    distribution : str
        Name under which the package is installed.
    methods : callable
        ``methods(kind, d)`` returns a dict from the name of each method to ``estimate(p, q, *couplings)``, which
        returns a value or a pair of value and standard error, in nats; None where the method is not there yet.
    """
    samples_file, results_file, seconds = sys.argv[1:]
    with np.load(samples_file) as file:
        samples = dict(file)
    results = []
    for kind in dict.fromkeys(name.split("_")[0] for name in samples):
        p, q = samples[f"{kind}_p"], samples[f"{kind}_q"]
        couplings = [samples[name] for name in (f"{kind}_couplings_p", f"{kind}_couplings_q") if name in samples]
        for method, estimate in methods(kind, p.shape[-1]).items():
            record = {"kind": kind, "method": method, "available": estimate is not None}
            if estimate is not None:
                record |= repeat(estimate, p, q, couplings, float(seconds))
            results.append(record)
    versions = {name: importlib.metadata.version(name) for name in (distribution, "numpy")}
    with open(results_file, "w") as file:
        json.dump({"versions": versions, "results": results}, file)


def repeat(estimate, p, q, couplings, seconds):
    """Return values, errors, times and refusals, one of each repetition, until `seconds` are spent."""
    record = {"values": [], "errors": [], "seconds": [], "refusals": []}
    once(estimate, p[0], q[0], couplings)  # what is compiled or loaded on first use is not timed
    begin = time.perf_counter()
    for one_p, one_q in zip(p, q, strict=True):
        start = time.perf_counter()
        value, error, refusal = once(estimate, one_p, one_q, couplings)
        now = time.perf_counter()
        for name, entry in zip(record, (value, error, now - start, refusal), strict=True):
            record[name].append(entry)
        if now - begin > seconds:
            break
    return record


def once(estimate, p, q, couplings):
    try:
        found = estimate(p, q, *couplings)
    except Exception as error:  # whatever a package raises is its answer
        return None, None, f"{type(error).__name__}: {error}".splitlines()[0]
    value, error = found if isinstance(found, tuple) else (found, None)
    return float(value), None if error is None else float(error), None


def symbols(spins):
    """Return int64 (n,): one number for each window of spins, which is what the discrete estimators take."""
    return (spins > 0) @ (1 << np.arange(spins.shape[1]))
