"""npeet-plus, whose default is bits."""

import math

from adapter import main
from npeet_plus import kldiv


def methods(kind, d):
    return {"kldiv (k = 3)": lambda p, q: kldiv(p, q, base=math.e)}


if __name__ == "__main__":
    main("npeet-plus", methods)
