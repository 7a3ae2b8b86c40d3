"""What several test files share: an archive made by hand, a tiny study, the command line as a process."""

import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from isingflow.archive import Archive, write
from isingflow.curve import LevelCurve, ScaleLine
from isingflow.diagram import ActivationHistogram, FixedPointMap, PhaseDiagram
from isingflow.parameters import ChainParameters, EnsembleParameters, NetworkParameters, SquareParameters

ROOT = Path(__file__).resolve().parent.parent

if "PYTEST_XDIST_WORKER" not in os.environ:
    # The tests' own list of fonts and matplotlibrc, for all workers: the machine's may be stale, or of another taste.
    SETTINGS = tempfile.TemporaryDirectory(prefix="isingflow-matplotlib-")
    os.environ["MPLCONFIGDIR"] = SETTINGS.name
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True)

TINY_TASKS = (
    *[ChainParameters(coupling=coupling, sites=64, steps=3, samples=20) for coupling in (0.4, 0.8)],
    SquareParameters(coupling=0.3, side=16, samples=40, steps=2),
    *[
        EnsembleParameters(
            network=NetworkParameters(weight_variance=weight, bias_variance=0.05, width=8, depth=12), networks=20
        )
        for weight in (1.5, 2.5)
    ],
)
"""A comparison in well under a second."""

TINY_COMMAND = f"""
import sys
from isingflow import cli, study
from isingflow.parameters import *
from matplotlib.figure import Figure
tasks = {TINY_TASKS!r}
study.compare_tasks = lambda **_: tasks
Figure.savefig = lambda self, path: path.write_bytes(b"picture")
sys.exit(cli.main(sys.argv[1:]))
"""
"""For ``python -c``: the command line, comparing the tiny tasks and saving no real pictures."""


def command(*arguments, code=("-m", "isingflow"), **settings):
    """Start the command line as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment} | settings
    return subprocess.Popen([sys.executable, *code, *map(str, arguments)], **settings)


def finish(*arguments, timeout=120, **settings):
    """Run the command line to its end; return exit code, standard output and standard error."""
    process = command(*arguments, **settings)
    output, errors = process.communicate(timeout=timeout)
    return process.returncode, output, errors


def curve(system, quantity, at, *, levels=6, pulls=0.0, reference="exact", **changes):
    """A sampled curve by hand, `pulls` standard errors of 0.01 above its reference."""
    control = "weight_variance" if system == "network" else "coupling"
    exact = np.arange(levels) / levels
    error = np.where(exact > 0, 0.01, 0.0)
    fields = {
        "per": "bond",
        "length": 2.0 ** np.arange(levels),
        "value": exact + pulls * error,
        "error": error,
        "reverse": 2 * exact,
        "reverse_error": error,
        "step": [*np.full(levels - 1, 0.1), math.nan],
        "step_error": error,
        "exact": exact,
        "exact_reverse": 2.1 * exact,
        "estimator": "by hand",
        "samples": 50,
    }
    fields |= {"parameters": {control: at, "sites": 64, "field": 0.5, "kind": "Bézier"}, "levels": np.arange(levels)}
    fields |= {"reference": reference, **changes}
    return LevelCurve(system=system, quantity=quantity, control=control, **fields)


def comparison():
    """An archive by hand with all that the figure of ``compare`` needs."""
    tail = {"regime": "saturating", "scale": 2.0, "scale_error": 0.5, "scale_exact": 3.0}
    limit = {"asymptote": 1.01, "asymptote_error": 0.02, "asymptote_exact": 1.0}
    critical = {"regime": "critical", "scale": math.inf, "exponent": 0.25, "exponent_error": 0.01}
    mean_field = {"reference": "mean field", "per": "neuron", "level_name": "layers"}
    closed = {"samples": 0, "error": 0.0, "exact": math.nan, "reference": "none", "estimator": "exact"}
    curves = (
        curve("chain", "window marginal", 0.4, pulls=1.0, **tail, **limit),
        curve("chain", "window marginal", 0.8, pulls=-2.0, levels=4, flags=("short run", "unseen symbol")),
        curve("chain", "pair marginal", 0.4, **tail, **limit),
        curve("square", "pair marginal", 0.3, pulls=0.5),
        curve("square", "pair marginal", 0.44, **critical),
        curve("square", "row pair marginal", 0.3, **tail),
        curve("square", "coupling, maris-kadanoff", 0.3, **closed),
        curve("network", "two inputs", 1.5, pulls=3.0, **mean_field),
        curve("network", "one input", 1.5, **mean_field),
        curve("network", "one input, weights", 1.5, pulls=1.0, **mean_field),
    )
    lines = (
        ScaleLine(system="chain", control="coupling", values=[0.4, 0.8], scale=[1.0, 2.4], critical=math.inf),
        ScaleLine(system="square", control="coupling", values=[0.3, 0.44], scale=[1.5, math.inf], critical=0.44),
        ScaleLine(
            system="network",
            control="weight_variance",
            values=[1.5, 2.5],
            scale=[15.0, 12.0],
            critical=1.76,
            reference="mean field",
        ),
    )
    provenance = {"version": "0.1.0", "root_seed": 2**64 - 1, "command": "", "platform": "ünix"}
    return Archive(curves, lines, provenance)


def chart():
    """An archive by hand with all that the figure of ``phases`` needs."""
    weights, biases = np.linspace(0.5, 4.0, 8), np.linspace(0.0, 0.5, 6)
    plane = weights + biases[:, None]
    diagram = PhaseDiagram(
        activation="tanh",
        residual=0.25,
        weight_variances=weights,
        bias_variances=biases,
        variance=np.where(plane > 4.1, math.inf, plane / 2),
        susceptibility=weights - 3 * biases[:, None],
        correlation=np.minimum(1.0, 2 / plane),
        xi_q=plane,
        xi_c=np.where(plane == plane[3, 3], math.inf, 8 * plane),
        edge=1 + 3 * biases,
        uniformity=[2.2, 1.9, 1.6, 1.3, 1.0, math.nan],
        crossing=(1.7, 0.23),
    )
    points = {
        "variance": [([0.0, 1.0], [1.5, 0.5], ("repelling", "attracting")), ([], [], ())],
        "correlation": [([0.25, 1.0], [0.5, 1.5], ("attracting", "repelling")), ([1.0], [1.0], ("neutral",))],
    }
    maps = tuple(
        FixedPointMap(
            quantity=quantity,
            activation="leaky_relu(0.2)",
            residual=0.0,
            weight_variance=1.5 + number,
            bias_variance=0.05,
            x=np.linspace(0, 1, 5),
            y=np.linspace(0.1, 0.9, 5) ** (1 + number),
            fixed=fixed,
            slopes=slopes,
            stability=stability,
        )
        for quantity, several in points.items()
        for number, (fixed, slopes, stability) in enumerate(several)
    )
    histograms = tuple(
        ActivationHistogram(
            activation="tanh",
            weight_variance=weight,
            bias_variance=0.1,
            layer=3,
            edges=[-1.0, -0.5, 0.5, 1.0],
            density=[0.4, 0.61, 0.39],
            density_error=[0.01, 0.02, 0.01],
            density_exact=[0.4, 0.6, 0.4],
            samples=200,
            networks=20,
            width=10,
        )
        for weight in (1.5, 2.5)
    )
    return Archive((), (), {"root_seed": 7}, (diagram,), maps, histograms)


@pytest.fixture
def by_hand():
    """The archive by hand."""
    return comparison()


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The archive by hand as a file: copy it before changing anything."""
    path = tmp_path_factory.mktemp("archive") / "good.h5"
    write(path, comparison())
    return path


@pytest.fixture(scope="session")
def tiny_study():
    """Curves of the tiny tasks, seed 1."""
    from isingflow import study

    return study.run(TINY_TASKS, seed=1)


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """``isingflow compare --quick`` with two workers on a pipe: the archive, the exit code and what it printed."""
    path = tmp_path_factory.mktemp("quick") / "quick.h5"
    return path, *finish("compare", "--quick", "--seed", 3, "--workers", 2, "-o", path, timeout=300)


def contents(record):
    """The fields of a curve or line, comparable by bits."""
    fields = vars(record) | {"parameters": sorted(getattr(record, "parameters", {}).items())}
    return {
        name: (value.dtype.str, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)
        for name, value in fields.items()
    }
