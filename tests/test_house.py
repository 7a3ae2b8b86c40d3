"""House rules: who may know whom, what importing loads, and the names that other people's scripts call."""

import ast
import importlib
import inspect
import pathlib
import subprocess
import sys

import pytest

import isingflow

PACKAGE = pathlib.Path(isingflow.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

LEAVES = {"errors", "files", "parameters", "seeding", "resampling"}
MAY_KNOW = {
    "errors": set(),
    "parameters": {"errors"},
    "seeding": {"errors", "parameters"},
    "resampling": {"errors", "parameters"},
    "curve": {"errors", "parameters", "plotting"},
    "diagram": {"errors", "parameters"},
    "ising": LEAVES | {"ising"},
    "network": LEAVES | {"network"},
    "divergence": LEAVES | {"divergence"},
    "flow": LEAVES | {"curve", "diagram", "divergence", "flow", "ising", "network"},
    "files": set(),
    "grid": set(),
    "archive": {"errors", "parameters", "curve", "diagram", "files", "grid"},
    "export": {"archive", "curve", "errors", "files"},
    "study_file": {"errors", "grid", "parameters", "seeding"},
    "pieces": {"curve", "errors", "files", "__init__"},
    "progress": set(),
    "repeats": {"curve"},
    "running": {
        *("archive", "errors", "executors", "files", "parameters", "pieces", "progress", "repeats", "study"),
        "study_file",
    },
    "executors": {"errors", "parameters", "__init__"},
    "study": {"archive", "executors", "flow", "ising", "network", "parameters", "seeding", "study_file", "__init__"},
    "training_studies": {
        *(
            "archive",
            "curve",
            "diagram",
            "errors",
            "executors",
            "files",
            "flow",
            "network",
            "parameters",
            "seeding",
            "study",
        ),
    },
    "ising_studies": {"archive", "diagram", "flow", "ising", "parameters", "seeding", "study"},
    "plotting": {"curve", "diagram", "errors", "plotting"},
    "report": {"archive", "curve", "divergence", "progress"},
    "verification": {"divergence", "ising", "network", "parameters"},
    "cli": {
        *("archive", "errors", "export", "parameters", "plotting", "report", "running", "seeding", "study"),
        *("study_file", "verification", "__init__"),
    },
    "__main__": {"cli"},
    "__init__": set(),
}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def known(path):
    """Rooms that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "isingflow":
                known_room = parts[1] if len(parts) > 1 else "__init__"
                found.add(known_room if known_room in MAY_KNOW else "__init__")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_who_may_know_whom(path):
    assert known(path) <= MAY_KNOW[room(path)]


def test_only_kernels_know_numba():
    users = {path.name for path in MODULES if "numba" in path.read_text() and "import numba" in path.read_text()}
    users |= {path.name for path in MODULES if "from numba" in path.read_text()}
    assert all(name.startswith("_") and name != "__init__.py" for name in users)


def test_only_two_modules_know_torch():
    users = {path.relative_to(PACKAGE).as_posix() for path in MODULES if "import torch" in path.read_text()}
    users |= {path.relative_to(PACKAGE).as_posix() for path in MODULES if "from torch" in path.read_text()}
    assert users == {"network/recording.py", "network/training.py"}


def loaded_by(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    ).stdout.split()


@pytest.mark.parametrize(
    ("statement", "forbidden"),
    [
        ("import isingflow", {"numba", "numpy", "scipy", "h5py", "matplotlib", "sklearn", "torch"}),
        ("from isingflow.cli import main; main(['--help'])", {"numba", "scipy", "h5py", "matplotlib", "sklearn"}),
        ("import isingflow.plotting.compare", {"numba", "h5py", "sklearn", "scipy", "matplotlib.pyplot"}),
        ("import isingflow.plotting.truncation", {"numba", "h5py", "sklearn", "scipy", "matplotlib.pyplot"}),
        ("import isingflow.plotting.phases", {"numba", "h5py", "sklearn", "scipy", "matplotlib.pyplot"}),
        ("import isingflow.flow.models, isingflow.training_studies", {"torch", "numba", "matplotlib", "sklearn"}),
        ("import isingflow.plotting.trainability", {"numba", "h5py", "sklearn", "scipy", "matplotlib.pyplot", "torch"}),
        ("import isingflow.executors", {"dask", "distributed", "numpy", "numba", "scipy"}),
        ("import isingflow.archive", {"numba", "matplotlib", "sklearn", "scipy"}),
        ("import isingflow.network.published", {"numba", "h5py", "matplotlib", "sklearn"}),
        ("import isingflow.plotting.published", {"numba", "h5py", "sklearn", "scipy", "matplotlib.pyplot"}),
        ("import isingflow.ising.square, isingflow.divergence.estimate", {"numba", "h5py", "matplotlib", "sklearn"}),
        ("import isingflow.network.inputs", {"numba", "h5py", "matplotlib", "scipy", "sklearn"}),
    ],
)
def test_imports_are_lazy(statement, forbidden):
    assert forbidden & set(loaded_by(statement)) == set()


def test_public_names():
    assert set(isingflow.__all__) == {
        "__version__",
        "ArchiveError",
        "BoltzmannSamples",
        "Categorical",
        "ConvergenceError",
        "Counts",
        "Gaussian",
        "IsingflowError",
        "KLEstimate",
        "LevelCurve",
        "Moments",
        "NetworkParameters",
        "ParameterError",
        "PhaseDiagram",
        "ScaleLine",
        "Study",
        "activation_entropy",
        "chain_flow",
        "collect",
        "compare",
        "entropy",
        "jensen_shannon",
        "kl_divergence",
        "layer_flow",
        "mean_field_flow",
        "model_flow",
        "mutual_information",
        "network_flow",
        "open_archive",
        "phase_diagram",
        "published_flow",
        "read_archive",
        "run",
        "square_flow",
    }
    for name in isingflow.__all__:
        assert getattr(isingflow, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = isingflow.nothing


@pytest.mark.parametrize(
    ("module", "name", "signature"),
    [
        ("ising.chain", "log_partition", "(coupling, field=0.0, *, sites=None)"),
        ("ising.chain", "decimate_couplings", "(coupling, field=0.0, *, factor=2)"),
        ("ising.chain", "magnetization", "(coupling, field=0.0)"),
        ("ising.chain", "correlation", "(coupling, distance, field=0.0)"),
        ("ising.chain", "relative_entropy_per_site", "(p, q, *, sites=None)"),
        ("ising.chain", "sample", "(coupling, field=0.0, *, sites, samples, rng, boundary='periodic')"),
        ("ising.square", "coupling_from_temperature", "(temperature)"),
        ("ising.square", "log_partition", "(coupling, *, side=None)"),
        ("ising.square", "bond_correlation", "(coupling, *, side=None)"),
        ("ising.square", "specific_heat", "(coupling)"),
        ("ising.square", "magnetization", "(coupling)"),
        ("ising.square", "correlation", "(coupling, distance, *, direction, side=None)"),
        ("ising.square", "relative_entropy_per_site", "(p, q, *, side=None)"),
        (
            "ising.sampling",
            "sample_square",
            "(coupling, *, side, samples, rng, diagonal=0.0, plaquette=0.0, field=0.0, algorithm='auto', "
            "chains='auto', burn_in='auto', thin='auto', workers=None)",
        ),
        ("ising.decimation", "decimate", "(spins, *, steps=1)"),
        ("ising.decimation", "decimate_by", "(spins, factor)"),
        ("ising.decimation", "decimate_ring", "(spins, factor)"),
        ("ising.decimation", "block_majority", "(spins, size, *, rng=None)"),
        ("ising.decimation", "pair_correlation", "(spins)"),
        ("ising.decimation", "windows", "(spins, shape)"),
        ("ising.couplings", "flow", "(coupling, *, scheme, steps)"),
        ("ising.couplings", "fixed_point", "(scheme)"),
        ("ising.couplings", "critical_coupling", "(scheme)"),
        ("flow.recursions", "first_step", "(coupling, *, side, samples, rng, workers=None)"),
        (
            "flow.recursions",
            "sampled_coupling_curve",
            "(coupling, *, scheme, steps=8, side=32, samples=1024, rng=None, workers=None)",
        ),
        (
            "flow.recursions",
            "truncated_curves",
            "(coupling, *, scheme, steps=4, side=64, samples=512, rng=None, workers=None)",
        ),
        (
            "network.meanfield",
            "fixed_point_variance",
            "(weight_variance, bias_variance, *, activation='tanh', residual=0.0, start=1.0)",
        ),
        (
            "network.meanfield",
            "depth_scales",
            "(weight_variance, bias_variance, *, activation='tanh', residual=0.0)",
        ),
        ("network.inputs", "white_noise", "(inputs, features, *, rng)"),
        ("network.inputs", "correlated_noise", "(inputs, features, *, correlation=None, gap=None, rng)"),
        ("network.inputs", "digits", "(indices)"),
        (
            "network.inputs",
            "fashion_mnist",
            "(indices, *, part='test', directory='/usr/share/datasets/fashion-mnist')",
        ),
        ("network.inputs", "images", "(path, indices=None, *, dataset=None)"),
        ("network.inputs", "normalise", "(images)"),
        ("network.inputs", "Inputs", "(values, source, indices=())"),
        ("network.image_files", "idx", "(path)"),
        ("network.meanfield", "critical_weight_variance", "(bias_variance, *, activation='tanh', residual=0.0)"),
        ("network.meanfield", "uniformity_variance", "(*, activation='tanh')"),
        ("network.meanfield", "activation_entropy", "(variance, *, activation='tanh')"),
        ("network.meanfield", "pair_levels", "(variance, gap, network)"),
        ("network.gaussian_process", "nngp_levels", "(kernel, network, *, distances=None)"),
        ("network.gaussian_process", "ntk_levels", "(kernel, network, *, distances=None)"),
        (
            "flow",
            "layer_flow",
            "(inputs, network, *, neurons, rng, networks=1, method='auto', error='auto', neighbours=4, forced=False, "
            "workers=1)",
        ),
        ("flow", "activation_entropy", "(inputs, network, *, networks, rng, ensemble='conditional', workers=1)"),
        (
            "network.pushforward",
            "pushforward_entropy",
            "(weights, biases, preactivations, *, samples, rng=None, activation='tanh', residual=0.0, "
            "variance='layer', workers=1)",
        ),
        ("network.published", "read_network", "(hooks, parameters, accuracies=None, *, order='number')"),
        ("network.published", "read_result", "(path)"),
        ("network.published", "find_networks", "(directory)"),
        ("network.published", "list_networks", "(paths)"),
        (
            "flow",
            "published_flow",
            "(inputs, network, *, networks, samples, rng, variance='layer', workers=1)",
        ),
        (
            "flow",
            "published_curve",
            "(network, *, samples, rng, variance='reference', label='', workers=1)",
        ),
        ("plotting.published", "published_normalisation", "(neurons, weight_variance)"),
        (
            "divergence.estimate",
            "kl_divergence",
            "(p, q, *, method='auto', error='auto', blocks=20, chains_axis=None, symmetry='none', paired=False, "
            "between=(), neighbours=4, forced=False, workers=1)",
        ),
        (
            "divergence.information",
            "jensen_shannon",
            "(p, q, *, method='auto', error='auto', blocks=20, chains_axis=None, symmetry='none', paired=False, "
            "between=())",
        ),
        (
            "divergence.information",
            "entropy",
            "(given, *, method='auto', error='auto', blocks=20, chains_axis=None)",
        ),
        (
            "divergence.information",
            "mutual_information",
            "(x, y, *, method='auto', error='auto', blocks=20, chains_axis=None)",
        ),
    ],
)
def test_names_that_scripts_call(module, name, signature):
    function = getattr(importlib.import_module(f"isingflow.{module}"), name)
    found = inspect.signature(function)
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
    assert str(inspect.Signature(parameters)) == signature
