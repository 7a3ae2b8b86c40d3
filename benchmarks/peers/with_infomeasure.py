"""infomeasure in nats, its default.

Kernel densities are left out: the bandwidth would be ours. So are zhang, grassberger, nsb, chao_shen and the other
corrected estimators of entropies: they refuse to compare two laws.
"""

from adapter import main, symbols
from infomeasure import kld


def methods(kind, d):
    if kind == "floats":
        return {
            "metric (k = 4)": lambda p, q: kld(p, q, approach="metric"),
            "renyi (alpha = 1, k = 4)": lambda p, q: kld(p, q, approach="renyi", alpha=1.0),
        }
    return {
        "discrete": lambda p, q: kld(symbols(p), symbols(q), approach="discrete"),
        "miller_madow": lambda p, q: kld(symbols(p), symbols(q), approach="miller_madow"),
        "bayes (Laplace, all symbols)": lambda p, q: kld(symbols(p), symbols(q), approach="bayes", alpha=1.0, K=2**d),
    }


if __name__ == "__main__":
    main("infomeasure", methods)
