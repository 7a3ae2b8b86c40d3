"""neural-tangents in float64: kernels NNGP and NTK of fully connected networks, level by level, and their times.

Runs inside the package's own environment. A JSON file of cases comes in: name, activation, weight_variance,
bias_variance, depth, inputs (m, features), and runs, the number of timed ones. Out go the kernels of all levels, or,
where there are runs, the seconds of the first call, which compiles, and of the others, of the last level alone.
"""

import importlib.metadata
import json
import sys
import time

import jax
import numpy as np
from neural_tangents import stax

# jax alone computes in float32 unless told before its first array
jax.config.update("jax_enable_x64", True)

ACTIVATIONS = {
    "erf": stax.Erf(a=1.0, b=1.0, c=0.0),
    "relu": stax.Relu(),
    "leaky_relu(0.2)": stax.LeakyRelu(0.2),
    "tanh": stax.ElementwiseNumerical(jax.numpy.tanh, deg=50, df=lambda z: 1 - jax.numpy.tanh(z) ** 2),
}


def layers(case):
    """Return the first affine map, and a step of the recursion: the activation and the next."""
    dense = stax.Dense(
        1, W_std=case["weight_variance"] ** 0.5, b_std=case["bias_variance"] ** 0.5, parameterization="ntk"
    )
    return dense, stax.serial(ACTIVATIONS[case["activation"]], dense)


def kernels(case):
    (_, _, first), (_, _, step) = layers(case)
    levels = [first(np.array(case["inputs"]), None)]
    for _ in range(case["depth"]):
        levels.append(step(levels[-1]))
    return {name: [np.asarray(getattr(one, name)).tolist() for one in levels] for name in ("nngp", "ntk")}


def seconds(case):
    dense, step = layers(case)
    _, _, kernel = stax.serial(dense, *[step] * case["depth"])
    inputs, found = np.array(case["inputs"]), {}
    for name in ("nngp", "ntk"):
        compiled = jax.jit(lambda x, name=name: kernel(x, None, name))
        times = []
        for _ in range(1 + case["runs"]):
            start = time.perf_counter()
            compiled(inputs).block_until_ready()
            times.append(time.perf_counter() - start)
        found[name] = {"first": times[0], "others": times[1:]}
    return found


def main():
    cases_file, results_file = sys.argv[1:]
    with open(cases_file) as file:
        cases = json.load(file)
    results = {case["name"]: seconds(case) if case["runs"] else kernels(case) for case in cases}
    versions = {name: importlib.metadata.version(name) for name in ("neural-tangents", "jax", "jaxlib", "numpy")}
    with open(results_file, "w") as file:
        json.dump({"versions": versions, "results": results}, file)


if __name__ == "__main__":
    main()
