"""pymbar, which gives free energies and averages: the relative entropy is put together from them, with its error.

With reduced energies ``u = -statistics @ couplings`` and work ``w = u_q - u_p`` it is ``<w>_p + f_p - f_q``.
"""

import numpy as np
from adapter import main
from pymbar import MBAR, bar, timeseries


def work(statistics, couplings_p, couplings_q):
    return statistics @ (couplings_p - couplings_q)


def with_bar(statistics_p, statistics_q, couplings_p, couplings_q):
    """The mean over p's own samples, the free energies by BAR: their errors are added as if independent."""
    forward = work(statistics_p, couplings_p, couplings_q)
    backward = -work(statistics_q, couplings_p, couplings_q)
    found = bar(forward, backward)
    return forward.mean() - found["Delta_f"], np.hypot(forward.std(ddof=1) / len(forward) ** 0.5, found["dDelta_f"])


def with_mbar(statistics_p, statistics_q, couplings_p, couplings_q):
    """All from the pooled samples, and the asymptotic covariance propagated."""
    both = np.concatenate([statistics_p, statistics_q])
    energies = -np.stack([both @ couplings_p, both @ couplings_q])
    solved = MBAR(energies, [len(statistics_p), len(statistics_q)])
    works = work(both, couplings_p, couplings_q)
    found = solved.compute_expectations_inner(
        np.stack([works, works]), energies, np.array([[0, 1], [0, 1]]), return_theta=True
    )
    mean, (f_p, f_q) = found["observables"][0], found["f"]
    shifted = mean - found["Amin"][0]
    # Theta: covariance of the logarithms of (shifted work at p, at q, weights of p, of q); f = -ln weights
    slope = np.array([shifted, 0.0, -shifted - 1.0, 1.0])
    return mean + f_p - f_q, float(slope @ found["Theta"] @ slope) ** 0.5


def with_subsampled_mbar(statistics_p, statistics_q, couplings_p, couplings_q):
    """The same from every g-th sample, g the statistical inefficiency of the work."""
    kept = [
        one[timeseries.subsample_correlated_data(work(one, couplings_p, couplings_q))]
        for one in (statistics_p, statistics_q)
    ]
    return with_mbar(*kept, couplings_p, couplings_q)


def methods(kind, d):
    return {"BAR": with_bar, "MBAR": with_mbar, "MBAR, subsampled": with_subsampled_mbar}


if __name__ == "__main__":
    main("pymbar", methods)
