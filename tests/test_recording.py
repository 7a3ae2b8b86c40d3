"""Recorded layers against forward passes written by hand; models are left as they were; level curves of models."""

import contextlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import isingflow
from isingflow.errors import ArchiveError, IsingflowError, ParameterError
from isingflow.flow import model_flow, network_flow
from isingflow.network.inputs import digits, normalise
from isingflow.network.recording import record_layers
from isingflow.network.training import GaussianMLP
from isingflow.parameters import NetworkParameters


class Block(nn.Module):
    """A residual block with normalisation and dropout, between two linear maps; one activation in place."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.norm, self.drop, self.relu = nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(inplace=True)

    def forward(self, x):
        z = self.first(x)
        z = z + self.drop(self.relu(self.norm(self.second(torch.tanh(z)))))
        return self.last(z)


def mlp(dtype=torch.float32):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 2)).to(dtype)


def noise(*shape):
    return np.random.default_rng(2).normal(size=shape)


def plain(module, x):
    return x @ module.weight.detach().numpy().T + module.bias.detach().numpy()


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_a_chain(dtype, near):
    model, x = mlp(dtype), noise(11, 5)
    found = record_layers(model, x, batch=4)
    assert found.layers == ("0", "2", "4")
    assert found.inputs == 11
    shown = x.astype(found.preactivations[0].dtype)
    for number, (name, pre, post) in enumerate(zip(found.layers, found.preactivations, found.shown, strict=True)):
        z = plain(model[int(name)], shown)
        np.testing.assert_allclose(post, shown, atol=near)
        np.testing.assert_allclose(pre, z, atol=near)
        assert pre.dtype == (np.float32 if dtype == torch.float32 else np.float64)
        shown = np.tanh(z) if number < 2 else None


@pytest.mark.parametrize("channels", ["flatten", "positions"])
def test_convolutions(channels):
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(2, 3, 2, stride=2), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 2)).double()
    x = noise(5, 2, 4, 4)
    found = record_layers(model, x, channels=channels, batch=2)
    weight, bias = (one.detach().numpy() for one in (model[0].weight, model[0].bias))
    z = np.empty((5, 3, 2, 2))
    for i in range(2):
        for j in range(2):
            patch = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            z[:, :, i, j] = np.einsum("nchw,ochw->no", patch, weight) + bias
    expected = z.reshape(5, 12) if channels == "flatten" else z.transpose(0, 2, 3, 1).reshape(20, 3)
    np.testing.assert_allclose(found.preactivations[0], expected, atol=1e-14)
    np.testing.assert_allclose(found.shown[1], np.maximum(z, 0).reshape(5, 12), atol=1e-14)


def test_a_residual_block_in_evaluation_mode():
    torch.manual_seed(3)
    model = Block().double()
    model.norm.running_mean.fill_(0.3)
    model.norm.running_var.fill_(2.0)
    x = noise(9, 6)
    found = record_layers(model, x, ["first", "norm", "last"], batch=2)
    z = plain(model.first, x)
    normed = (plain(model.second, np.tanh(z)) - 0.3) / np.sqrt(2.0 + 1e-5)
    np.testing.assert_allclose(found.preactivations[1], normed, atol=1e-13)
    np.testing.assert_allclose(found.shown[2], z + np.maximum(normed, 0), atol=1e-13)


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails):
    torch.manual_seed(4)
    model = Block()
    model.train()
    model.drop.eval()
    seen = []
    model.second.register_forward_hook(lambda *call: seen.append(1))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    hooks = [len(module._forward_hooks) for module in model.modules()]
    model.first(torch.zeros(1, 6)).sum().backward()
    gradient = model.first.weight.grad.clone()
    if fails:
        with pytest.raises(ParameterError, match=r"the model refuses inputs of shape \(3, 7\)"):
            record_layers(model, noise(3, 7))
    else:
        record_layers(model, noise(3, 6))
        assert seen == [1]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert torch.equal(model.first.weight.grad, gradient)
    assert not any(parameter.grad is not None for parameter in model.last.parameters())


def test_a_layer_that_is_called_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = nn.Linear(3, 3)

        def forward(self, x):
            return self.map(torch.tanh(self.map(x)))

    found = record_layers(Twice(), noise(4, 3))
    assert found.layers == ("map", "map (2)")
    np.testing.assert_allclose(found.shown[1], np.tanh(found.preactivations[0]), atol=1e-6)


def test_streamed_to_a_file(tmp_path):
    model, x, path = mlp(), noise(50, 5), tmp_path / "layers.h5"
    memory, file = record_layers(model, x, batch=16), record_layers(model, x, batch=16, file=path)
    for one, other in zip(memory.preactivations + memory.shown, file.preactivations + file.shown, strict=True):
        np.testing.assert_array_equal(one, other)
        assert isinstance(other, np.memmap)
    with h5py.File(path) as hdf5:
        np.testing.assert_array_equal(hdf5["preactivations/2"], memory.preactivations[1])
    with pytest.raises(ArchiveError, match="exists: choose another name"):
        record_layers(model, x, file=path)
    with pytest.raises(ArchiveError, match="cannot write"):
        record_layers(model, x, file=tmp_path / "nowhere" / "layers.h5")
    x[40, 2] = 1e300  # beyond single precision, in the third batch
    with pytest.raises(ParameterError, match="finite"):
        record_layers(model, x, batch=16, file=tmp_path / "other.h5")
    assert [one.name for one in tmp_path.iterdir()] == ["layers.h5"]


@pytest.mark.parametrize(
    ("change", "inputs", "given", "message"),
    [
        (None, noise(0, 5), {}, r"inputs must be \(n, ...\) with n at least 1, got shape \(0, 5\)"),
        (None, noise(5), {}, r"inputs must be \(n, ...\)"),
        (None, np.full((3, 5), np.nan), {}, "inputs must be finite"),
        (None, [["a"] * 5], {}, "inputs must be an array of numbers or a tensor"),
        (None, [[1.0], [1.0, 2.0]], {}, "inputs must be an array of numbers or a tensor"),
        (None, noise(3, 5), {"layers": ["1", "3x"]}, "layers must be one of '0', .* got '3x'"),
        (None, noise(3, 5), {"layers": "0"}, "layers must be a list of names of modules, got '0'"),
        (None, noise(3, 5), {"layers": []}, "layers must be a list of names"),
        (None, noise(3, 5), {"batch": 0}, "batch must be at least 1"),
        (None, noise(3, 5), {"channels": "all"}, "channels must be one of 'flatten', 'positions'"),
        ("nan", noise(3, 5), {}, "the model's parameters must be finite, 2.weight is not"),
        ("huge", noise(3, 5), {}, "the layer '4' gives or is shown values that are not finite"),
    ],
)
def test_bad_input(change, inputs, given, message):
    model = mlp()
    with torch.no_grad():
        if change == "nan":
            model[2].weight[0, 0] = np.nan
        if change == "huge":
            model[4].weight.fill_(3e38)
            model[4].bias.fill_(3e38)
    with pytest.raises(ParameterError, match=message):
        record_layers(model, inputs, **given)


def test_models_without_linear_maps():
    with pytest.raises(ParameterError, match="the model has no linear maps: name its layers, of 0"):
        record_layers(nn.Sequential(nn.Tanh()), noise(3, 5))
    with pytest.raises(ParameterError, match=r"model must be a torch\.nn\.Module, got list"):
        record_layers([], noise(3, 5))
    with pytest.raises(ParameterError, match="wrap it"):
        record_layers(nn.Linear(5, 2), noise(3, 5))
    with pytest.raises(ParameterError, match="gives no tensor, but tuple"):
        record_layers(nn.Sequential(nn.LSTM(5, 3)), noise(3, 2, 5), ["0"])
    with pytest.raises(ParameterError, match="has no shape yet: call the model once"):
        record_layers(nn.Sequential(nn.LazyLinear(5)), noise(3, 5))
    model = nn.ModuleDict({"used": nn.Linear(5, 2), "spare": nn.Linear(5, 2)})
    model.forward = lambda x: model["used"](x)
    assert record_layers(model, noise(3, 5)).layers == ("used",)
    with pytest.raises(ParameterError, match=r"never calls the layer\(s\) spare"):
        record_layers(model, noise(3, 5), ["used", "spare"])
    model.forward = lambda x: x
    with pytest.raises(ParameterError, match=r"never calls the layer\(s\) used, spare"):
        record_layers(model, noise(3, 5))


class Does(nn.Module):
    """A linear map, and what is done with it."""

    def __init__(self, does):
        super().__init__()
        self.does, self.map = does, nn.Linear(3, 2)

    def forward(self, x):
        return self.does(self.map, x)


def raises(error):
    raise error


@pytest.mark.parametrize(
    ("does", "message"),
    [
        (
            lambda layer, x: layer(x[:1]),
            r"first axis .* 'map' .* must be that of the inputs, got \(1, 2\) for a batch of 4",
        ),
        (lambda layer, x: layer(x[x[:, 0] > 0]), "first axis of what the layer 'map' is shown"),
        (lambda layer, x: layer(x.new_ones(4, 3)), r"as much for every input, got \(4, 2\) for a batch of 2"),
        (lambda layer, x: raises(RuntimeError()), r"the model refuses inputs of shape \(4, 3\): RuntimeError"),
        (lambda layer, x: raises(IndexError("7 is too many")), "refuses .*: 7 is too many"),
    ],
)
def test_layers_that_do_not_follow_the_inputs(does, message):
    x = noise(10, 3)
    x[:4, 0] = [1, -1, 1, 1]
    with pytest.raises(ParameterError, match=message):
        record_layers(Does(does), x, batch=4)


def test_ways_to_call_a_layer():
    x = noise(10, 3)
    plainly = record_layers(Does(lambda layer, x: layer(x)), x)
    assert plainly.preactivations[0].shape == (10, 2)

    def patiently(layer, x):
        with contextlib.suppress(RuntimeError):
            layer(x[:, :1])
        return layer(input=x)

    found = record_layers(Does(patiently), x)
    np.testing.assert_array_equal(found.shown[0], x.astype(np.float32))
    with_graph = record_layers(Does(lambda layer, x: torch.enable_grad()(layer)(x)), x)
    assert with_graph.preactivations[0].shape == (10, 2)
    short = record_layers(Does(lambda layer, x: layer(x)).bfloat16(), x)
    assert short.preactivations[0].dtype == np.float32


def test_layers_that_work_in_place():
    """What they are shown is what the layer before gave, and the caller's tensor stays."""
    x = torch.tensor(noise(10, 3), dtype=torch.float32)
    before = x.clone()
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    found = record_layers(model, x, ["0", "1", "2", "3"])
    assert torch.equal(x, before)
    np.testing.assert_array_equal(found.shown[0], x)
    np.testing.assert_array_equal(found.shown[2], found.preactivations[1])
    np.testing.assert_array_equal(found.preactivations[2], np.maximum(found.preactivations[1], 0))
    assert (found.preactivations[1] < 0).any()


def test_without_torch():
    """Everything else works, and the error says what to install."""
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import isingflow, isingflow.flow, isingflow.study, isingflow.cli\n"
        "from isingflow.errors import IsingflowError\n"
        "for name in ('recording', 'training'):\n"
        "    try:\n"
        "        __import__(f'isingflow.network.{name}')\n"
        "    except IsingflowError as error:\n"
        "        print(error)\n"
        "try:\n"
        "    isingflow.model_flow(None, [[1.0]])\n"
        "except IsingflowError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(said) == 3
    assert all("pip install 'isingflow[train]'" in line for line in said)
    assert issubclass(IsingflowError, Exception)


LAW = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=8, width=400)


def test_errors_of_several_models_are_those_between_them():
    """In the ordered phase, where neurons alone would tell variances five times too small.

    By the F law of 29 and 90 degrees of freedom the ratio leaves the bounds twice in 10^6.
    """
    law = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=18, width=100)
    inputs, seeds = normalise(digits([0, 1])), iter(range(200))
    curves = [model_flow([GaussianMLP(law, 64, seed=next(seeds)) for _ in range(4)], inputs) for _ in range(30)]
    values, errors = (np.array([getattr(curve, name)[-1] for curve in curves]) for name in ("value", "error"))
    assert 0.179 < values.var(ddof=1) / (errors**2).mean() < 3.72


def test_curves_of_random_models_are_those_of_the_ensemble():
    """By Student's law, at 5 sigma: the ensemble's own error is a fifth."""
    inputs = normalise(digits([0, 1]))
    models = [GaussianMLP(LAW, 64, seed=seed) for seed in range(20)]
    for count in (1, 2):
        found = model_flow(models, inputs[:count])
        expected = network_flow(inputs[:count], LAW, networks=400, rng=1)
        pulls = (found.value - expected.value)[1:] / np.hypot(found.error, expected.error)[1:]
        assert np.abs(pulls).max() < 7.3
        assert found.parameters["ensemble"] == "neurons"
        assert found.samples == 20 * 400
    other = network_flow(
        inputs, NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=8, width=400), networks=400, rng=1
    )
    assert np.abs((found.value - other.value)[2:] / found.error[2:]).max() > 7.3


def test_one_model_and_its_inputs():
    model = GaussianMLP(LAW, 64, seed=1)
    found = model_flow(model, normalise(digits(range(200))), law="inputs", neurons=2)
    assert found.quantity == "window of 2 neurons, model, over inputs"
    assert (found.value[1:] > 0).all()
    one = model_flow(
        model,
        normalise(digits([0])),
        layers=["layers.0", "layers.3"],
        label="mine",
        parameters={"epoch": 3.0},
        control="epoch",
    )
    assert one.quantity == "one input, model, mine"
    assert one.control_value == 3.0
    assert len(one.levels) == 2
    assert isingflow.model_flow is model_flow


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"law": "weights"}, "law must be one of 'neurons', 'inputs'"),
        ({"law": "inputs"}, "at least 100 inputs are needed to tell an error, got 2"),
        ({"law": "inputs", "several": True}, "the law over inputs is one of one model, got 2"),
        ({"layers": ["layers.0", "layers.2"]}, "the layer 'layers.2' has 10 neurons for each of 2 samples"),
        ({"layers": ["layers.0"]}, "a curve needs two levels or more, got layers.0"),
    ],
)
def test_curves_refuse(given, message):
    law = NetworkParameters(weight_variance=2.0, bias_variance=0.05, depth=2, width=(64, 64, 10))
    models = [GaussianMLP(law, 64, seed=seed) for seed in range(1 + given.pop("several", False))]
    with pytest.raises(ParameterError, match=message):
        model_flow(models, normalise(digits([0, 1])), **given)
    with pytest.raises(ParameterError, match="at least one model is needed"):
        model_flow([], normalise(digits([0])))
