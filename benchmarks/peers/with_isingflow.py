"""The estimators of this checkout. The first method of each kind is what a caller gets by default."""

from adapter import main

from isingflow import BoltzmannSamples, kl_divergence


def estimator(**options):
    def estimate(p, q):
        found = kl_divergence(p, q, **options)
        return found.value, found.stderr

    return estimate


def pooled(statistics_p, statistics_q, couplings_p, couplings_q):
    found = kl_divergence(BoltzmannSamples(statistics_p, couplings_p), BoltzmannSamples(statistics_q, couplings_q))
    return found.value, found.stderr


def methods(kind, d):
    if kind == "floats":
        several = {"gaussian-diagonal": estimator(method="gaussian-diagonal")} if d > 1 else {}
        return {
            "default (gaussian)": estimator(),
            **several,
            "knn": estimator(method="knn"),
            "density-ratio": estimator(method="density-ratio"),
        }
    if kind == "statistics":
        return {"default (mbar)": pooled}
    by_counts = {"default (zhang-grabchak)": estimator(), "plugin": estimator(method="plugin")}
    if kind == "configurations":
        return by_counts
    return by_counts | {
        "zhang-grabchak, flip+reflect": estimator(symmetry="flip+reflect"),
        "markov": estimator(method="markov"),
    }


if __name__ == "__main__":
    main("isingflow", methods)
