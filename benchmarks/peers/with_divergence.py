"""divergence in nats, its default; its kernel densities are of one variable."""

from adapter import main, symbols
from divergence import kl_divergence, knn_kl_divergence


def methods(kind, d):
    if kind != "floats":
        return {"discrete": lambda p, q: kl_divergence(symbols(p), symbols(q), discrete=True)}
    densities = {"kernel densities": lambda p, q: kl_divergence(p[:, 0], q[:, 0])} if d == 1 else {}
    return densities | {"knn (k = 5)": knn_kl_divergence}


if __name__ == "__main__":
    main("divergence", methods)
