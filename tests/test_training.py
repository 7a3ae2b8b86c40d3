"""Gaussian networks as models, their training and what is reconstructed of their inputs: by hand, and to the bit."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from torch import nn

from isingflow import archive, training_studies
from isingflow.errors import ArchiveError, ParameterError
from isingflow.network.labelled import LabelledImages, labelled_digits, labelled_idx
from isingflow.network.propagation import propagate
from isingflow.network.recording import record_layers
from isingflow.network.training import GaussianMLP, reconstruct, train
from isingflow.parameters import NetworkParameters, TrainingParameters
from isingflow.plotting.figures import figure_of

LAW = NetworkParameters(weight_variance=1.8, bias_variance=0.05, depth=3, width=(32, 32, 16, 10))


@pytest.fixture(scope="module")
def data():
    found = labelled_digits()
    return LabelledImages(
        found.images[:300], found.labels[:300], found.test_images[:60], found.test_labels[:60], "some"
    )


@pytest.mark.parametrize(("dtype", "near"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize(
    "law",
    [
        LAW,
        NetworkParameters(weight_variance=2.0, bias_variance=0.1, depth=5, width=24, activation="erf"),
        NetworkParameters(weight_variance=2.0, bias_variance=0.1, depth=5, width=24, activation="leaky_relu(0.2)"),
        NetworkParameters(weight_variance=1.5, bias_variance=0.1, depth=5, width=24, residual=0.5),
        NetworkParameters(weight_variance=1.5, bias_variance=0.1, depth=2, width=24, activation="hard_tanh"),
    ],
)
def test_layers_are_those_of_propagation(law, dtype, near):
    inputs = np.random.default_rng(1).normal(size=(3, 20))
    drawn = propagate(
        inputs, law, networks=1, rng=1, ensemble="weights", keep=("preactivations", "weights"), dtype=dtype
    )
    weights, biases = ([level[0] for level in kept] for kept in (drawn.weights, drawn.biases))
    model = GaussianMLP.of(law, weights, biases, dtype=dtype)
    found = record_layers(model, inputs)
    if law.residual:  # what a layer gives is a change there
        levels = [found.preactivations[0]]
        for change in found.preactivations[1:]:
            levels.append(change + law.residual * levels[-1])
    else:
        levels = found.preactivations
    for level, expected in zip(levels, drawn.preactivations, strict=True):
        np.testing.assert_allclose(level, expected[0].T, rtol=0, atol=near * np.abs(expected).max())
    np.testing.assert_allclose(
        model(torch.tensor(inputs, dtype=model.layers[0].weight.dtype)).detach(), levels[-1], atol=10 * near
    )


def test_the_law_of_the_weights():
    """Variances of weights and biases, within 5 standard errors; networks of other seeds are others."""
    law = NetworkParameters(weight_variance=1.8, bias_variance=0.05, depth=2, width=300)
    model, other = (GaussianMLP(law, 100, seed=seed, dtype="float64") for seed in (1, 2))
    for layer, fan in zip(model.layers, (100, 300, 300), strict=True):
        weights = layer.weight.detach().numpy()
        assert abs(fan * weights.var() / 1.8 - 1) < 5 * np.sqrt(2 / weights.size)
        assert abs(layer.bias.detach().numpy().var() / 0.05 - 1) < 5 * np.sqrt(2 / 300)
    assert not torch.equal(model.layers[0].weight, other.layers[0].weight)
    again = GaussianMLP(law, 100, seed=1, dtype="float64")
    assert torch.equal(model.layers[2].weight, again.layers[2].weight)


def test_training_is_a_plain_loop(data):
    """Stochastic gradient descent with momentum, spelled out."""
    model = GaussianMLP(LAW, 64, seed=1, dtype="float64")
    mine = GaussianMLP(LAW, 64, seed=1, dtype="float64")
    history = train(model, data, epochs=2, seed=5, rate=0.02, momentum=0.7, batch=40)
    x, y = torch.from_numpy(data.inputs), torch.from_numpy(data.labels.copy())
    parameters, losses = list(mine.parameters()), []
    velocities = [torch.zeros_like(parameter) for parameter in parameters]
    for epoch in range(2):
        order = np.random.default_rng([5, epoch]).permutation(300)
        total = 0.0
        for start in range(0, 300, 40):
            part = torch.from_numpy(order[start : start + 40])
            logs = torch.log_softmax(mine(x[part]), dim=1)
            loss = -logs[torch.arange(len(part)), y[part]].mean()
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                    velocity.mul_(0.7).add_(gradient)
                    parameter.sub_(0.02 * velocity)
            total += float(loss.detach()) * len(part)
        losses.append(total / 300)
    np.testing.assert_allclose(history.loss, losses, rtol=1e-10)
    for one, other in zip(model.parameters(), parameters, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    right = mine(torch.from_numpy(data.test_inputs)).argmax(dim=1).numpy() == data.test_labels
    assert history.test_accuracy[-1] == right.mean()
    assert not history.diverged


def test_an_interrupted_run_gives_the_same_bits(data, tmp_path):
    whole = GaussianMLP(LAW, 64, seed=1)
    expected = train(whole, data, epochs=4, seed=3)
    path = tmp_path / "run.pt"

    class Killed(Exception):
        pass

    def kill(epoch, _):
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        train(GaussianMLP(LAW, 64, seed=1), data, epochs=4, seed=3, checkpoint=path, progress=kill)
    resumed = GaussianMLP(LAW, 64, seed=1)
    epochs = []
    found = train(resumed, data, epochs=4, seed=3, checkpoint=path, progress=lambda epoch, _: epochs.append(epoch))
    assert epochs == [3, 4]
    np.testing.assert_array_equal(found.loss, expected.loss)
    np.testing.assert_array_equal(found.test_accuracy, expected.test_accuracy)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert [one.name for one in tmp_path.iterdir()] == ["run.pt"]
    with pytest.raises(ArchiveError, match="cannot write"):
        train(GaussianMLP(LAW, 64, seed=1), data, epochs=1, seed=3, checkpoint=tmp_path / "no" / "run.pt")


def test_checkpoints_of_other_runs(data, tmp_path):
    path = tmp_path / "run.pt"

    def go_on(law=LAW, images=data, *, weights=1, order=3, dtype="float32"):
        return train(GaussianMLP(law, 64, seed=weights, dtype=dtype), images, epochs=1, seed=order, checkpoint=path)

    first = go_on()
    kept = path.read_bytes()
    np.testing.assert_array_equal(go_on().loss, first.loss)
    others = dataclasses.replace(data, labels=data.labels[::-1])
    for change, words in (
        ({"order": 4}, "seed differ"),
        ({"weights": 2}, "initial weights differ"),
        ({"law": dataclasses.replace(LAW, activation="relu")}, "architecture, initial weights differ"),
        ({"dtype": "float64"}, "initial weights differ"),
        ({"images": others}, "images differ"),
    ):
        with pytest.raises(ParameterError, match=f"is of another run: {words}; name another file, or remove it"):
            go_on(**change)
    assert path.read_bytes() == kept
    for strange in (kept[:1000], b"", b"PK", pickled({"rows": []}), pickled({"settings": 1, "rows": 2}), pickled(3)):
        path.write_bytes(strange)
        with pytest.raises(ArchiveError, match=r"is no readable checkpoint: .*; remove it to begin anew"):
            go_on()


def pickled(content):
    image = io.BytesIO()
    torch.save(content, image)
    return image.getvalue()


def test_flipped_bits_in_checkpoints(tmp_path):
    """Noticed, or where nothing is read from."""
    law = NetworkParameters(weight_variance=1.8, bias_variance=0.05, depth=1, width=(4, 2))
    some = LabelledImages(np.eye(6), [0, 1] * 3, np.eye(6), [0, 1] * 3, "dots")
    path = tmp_path / "run.pt"

    def go_on():
        model = GaussianMLP(law, 6, seed=1)
        return train(model, some, epochs=2, seed=1, checkpoint=path).loss.tolist(), model.state_dict()

    loss, weights = go_on()
    kept, rng, noticed = path.read_bytes(), np.random.default_rng(1), 0
    for _ in range(300):
        flipped = bytearray(kept)
        flipped[rng.integers(len(kept))] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            found, its_weights = go_on()
        except (ArchiveError, ParameterError):
            noticed += 1
        else:
            assert found == loss
            assert all(torch.equal(one, its_weights[name]) for name, one in weights.items())
    assert noticed > 100


def test_what_layers_draw_is_seeded(data, tmp_path):
    def model():
        return nn.Sequential(GaussianMLP(LAW, 64, seed=1), nn.Dropout(0.3))

    def stop(epoch, _):
        if epoch == 1:
            raise KeyboardInterrupt

    torch.manual_seed(7)
    state = torch.get_rng_state()
    whole, other = (train(model(), data, epochs=2, seed=seed) for seed in (1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(8)
    with pytest.raises(KeyboardInterrupt):
        train(model(), data, epochs=2, seed=1, checkpoint=tmp_path / "a.pt", progress=stop)
    resumed = train(model(), data, epochs=2, seed=1, checkpoint=tmp_path / "a.pt")
    np.testing.assert_array_equal(resumed.loss, whole.loss)
    assert (other.loss != whole.loss).all()


def test_a_diverging_run_ends(data):
    law = dataclasses.replace(LAW, activation="linear", weight_variance=50.0)
    history = train(GaussianMLP(law, 64, seed=1), data, epochs=20, seed=1, rate=1e4)
    assert history.diverged
    assert len(history.loss) < 20


def test_what_survives_is_reconstructed(data):
    """Shallow levels tell the image, deep ones of the ordered phase no more than the mean does."""
    law = NetworkParameters(weight_variance=1.0, bias_variance=0.05, depth=15, width=64)
    model = GaussianMLP(law, 64, seed=1)
    before = [parameter.clone() for parameter in model.parameters()]
    full = labelled_digits()
    found = reconstruct(model, full, seed=1, shown=3)
    assert found.value.shape == (16,)
    assert found.value[0] < 0.7 * found.ignorant
    assert found.value[15] > 0.95 * found.ignorant
    assert (np.diff(found.value[:4]) > 0).all()
    assert found.pictures.shape == (16, 3, 64)
    np.testing.assert_allclose(found.pictures.sum(axis=2), 1, rtol=1e-5)
    again = reconstruct(model, full, seed=1, shown=3)
    np.testing.assert_array_equal(found.value, again.value)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    laws = full.test_images / full.test_images.sum(axis=1, keepdims=True)
    mean = (full.images / full.images.sum(axis=1, keepdims=True)).mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = np.where(laws > 0, laws * np.log(laws / mean), 0.0).sum(axis=1)
    assert found.ignorant == pytest.approx(nats.mean(), rel=1e-5)


def test_reconstruction_from_narrow_levels(data):
    """Levels of any widths, with and without residual paths, of networks as they are trained."""
    for law in (LAW, NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=16, residual=0.5)):
        model = GaussianMLP(law, 64, seed=1)
        train(model, data, epochs=1, seed=1)
        found = reconstruct(model, data, seed=1, shown=2)
        assert found.value.shape == (4,)
        assert np.isfinite(found.value).all()
        last = model.activations(torch.from_numpy(data.test_inputs).float())[-1]
        torch.testing.assert_close(last, torch.tanh(model(torch.from_numpy(data.test_inputs).float())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"seed": -1}, "seed must be between 0"),
        ({"rate": 0.0}, "rate must be greater than 0"),
        ({"momentum": 1.0}, "momentum must lie in"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"model": None}, r"model must be a torch\.nn\.Module with parameters, got NoneType"),
        ({"model": nn.Tanh()}, "with parameters, got Tanh"),
        ({"model": nn.Linear(63, 10)}, r"the model refuses inputs of shape \(1, 64\): mat1 and mat2"),
        ({"model": nn.Linear(64, 9)}, r"must give \(n, classes\) with 10 classes or more, got \(1, 9\) for one image"),
        ({"model": nn.Unflatten(1, (8, 8))}, "with parameters, got Unflatten"),
        ({"model": nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10)), "batch": 299}, "refuses .* more than 1 value"),
        ({"data": None}, "data must be LabelledImages, got NoneType"),
    ],
)
def test_bad_training(change, message, data):
    arguments = {"model": GaussianMLP(LAW, 64, seed=1), "data": data, "epochs": 1, "seed": 1}
    with pytest.raises(ParameterError, match=message):
        train(**arguments | change)


@pytest.mark.parametrize("use", [train, reconstruct])
def test_weights_that_are_not_finite(use, data):
    model = GaussianMLP(LAW, 64, seed=1)
    with torch.no_grad():
        model.layers[1].weight[0, 0] = np.nan
    with pytest.raises(ParameterError, match=r"parameters must be finite, layers\.1\.weight is not"):
        use(model, data, seed=1, **({"epochs": 1} if use is train else {}))
    with pytest.raises(ParameterError, match=r"refuses inputs of shape \(1, 64\)"):
        use(GaussianMLP(LAW, 63, seed=1), data, seed=1, **({"epochs": 1} if use is train else {}))


def test_other_bad_input(data):
    with pytest.raises(ParameterError, match="reconstructors end with tanh"):
        reconstruct(GaussianMLP(dataclasses.replace(LAW, activation="relu"), 64, seed=1), data, seed=1)
    with pytest.raises(ParameterError, match="reconstructors end with tanh"):
        reconstruct(nn.Linear(64, 10), data, seed=1)
    with pytest.raises(ParameterError, match="4 levels need as many weights and biases"):
        GaussianMLP.of(LAW, [np.eye(2)], [np.zeros(2)])
    weights = [np.zeros((n, m)) for n, m in ((32, 64), (32, 32), (16, 31), (10, 16))]
    with pytest.raises(ParameterError, match=r"level 2 must have shapes \(16, 32\) and \(16,\), got \(16, 31\)"):
        GaussianMLP.of(LAW, weights, [np.zeros(n) for n in (32, 32, 16, 10)])
    with pytest.raises(ParameterError, match="dtype must be one of 'float32', 'float64'"):
        GaussianMLP(LAW, 64, seed=1, dtype="float16")


def test_labelled_images(tmp_path):
    images, labels = np.arange(1, 25, dtype=np.uint8).reshape(2, 3, 4), np.array([1, 0], np.uint8)
    for name, array in (("i", images), ("l", labels)):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (tmp_path / name).write_bytes(head + array.tobytes())
    found = labelled_idx(*(tmp_path / name for name in "ilil"), most=1)
    assert found.images.tolist() == [list(range(1, 13))]
    assert (found.labels.tolist(), found.test_labels.tolist(), found.classes) == ([1], [1, 0], 2)
    with pytest.raises(ParameterError, match="labels must be whole numbers from 0 on, one for each of 2 images"):
        LabelledImages(np.eye(2), [0, 1, 1], np.eye(2), [0, 1], "dots")
    with pytest.raises(ParameterError, match="grey values must not be negative, images has -1"):
        LabelledImages(-np.eye(2), [0, 1], np.eye(2), [0, 1], "dots")
    with pytest.raises(ParameterError, match=r"an image must not be constant, rows \[1\] of test_images are"):
        LabelledImages(np.eye(2), [0, 1], [[1, 0], [3, 3]], [0, 1], "dots")
    with pytest.raises(ParameterError, match="as many pixels as others, got 3 and 2"):
        LabelledImages(np.eye(2), [0, 1], np.eye(3), [0, 1, 1], "dots")


# studies


def tiny(width, depth, weight, index=0):
    law = NetworkParameters(weight_variance=weight, bias_variance=0.05, depth=depth, width=(width,) * depth + (10,))
    return TrainingParameters(network=law, epochs=1, index=index)


GRID = tuple(tiny(32, depth, weight) for weight in (1.0, 1.76) for depth in (2, 6))
CURVES = tuple(tiny(32, 3, weight, index) for weight in (1.5, 3.0) for index in range(2))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(training_studies, "trainability_tasks", lambda quick: GRID)
    monkeypatch.setattr(training_studies, "training_tasks", lambda quick: CURVES)


def numbers(found):
    (one,) = found.trainability
    return [one.accuracy, one.loss, one.information_loss, one.correlation, found.reconstructions[0].reconstructed]


def test_trainability_in_shares(small, tmp_path):
    whole = training_studies.trainability(quick=True)
    assert whole.trainability[0].accuracy.shape == (2, 2)
    assert training_studies.trainability(quick=True, folder=tmp_path, part=(1, 2)) is None
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 3
    times = [path.stat().st_mtime_ns for path in kept]
    shared = training_studies.trainability(quick=True, folder=tmp_path, part=(2, 2))
    assert [path.stat().st_mtime_ns for path in kept] == times
    for one, other in zip(numbers(whole), numbers(shared), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ParameterError, match="share must be between 1 and 2, got 3"):
        training_studies.trainability(quick=True, part=(3, 2))
    with pytest.raises(ParameterError, match="a share of 2 needs a folder, where all shares meet"):
        training_studies.trainability(quick=True, part=(1, 2))
    with pytest.raises(ArchiveError, match="cannot make the folder"):
        training_studies.trainability(quick=True, folder=kept[0])
    whole_file = kept[0].read_bytes()
    number = whole_file.index(b"NUMPY") + 127  # the first after a head of 128 bytes
    flipped = whole_file[:number] + bytes([whole_file[number] ^ 1]) + whole_file[number + 1 :]
    for damaged in (b"", b"nonsense", whole_file[:100], flipped):
        kept[0].write_bytes(damaged)
        with pytest.raises(ArchiveError, match=rf"{kept[0].name} cannot be read .*: remove it, and it is computed"):
            training_studies.trainability(quick=True, folder=tmp_path)


def test_archives_and_figures(small, tmp_path):
    for study in (training_studies.trainability, training_studies.training):
        found = study(quick=True, seed=2)
        archive.write(tmp_path / "a.h5", found, overwrite=True)
        read = archive.read(tmp_path / "a.h5")
        assert read.provenance["figure"] == study.__name__
        assert len(figure_of(read).axes) >= 3
        with pytest.raises(ParameterError, match="the archive holds no"):
            figure_of(archive.Archive(provenance={"figure": study.__name__}))
    families = {curve.family for curve in found.curves}
    assert len(families) == 6
    again = training_studies.training(quick=True, seed=2)
    for one, other in zip(found.curves, again.curves, strict=True):
        np.testing.assert_array_equal(one.value, other.value)


def test_two_workers_give_the_bits_of_one():
    """Of processes that import the studies anew."""
    tasks = [(training_studies._train_point, task, 1) for task in GRID[:2]]
    from isingflow import executors

    found = []
    for executor in (executors.Serial(), executors.Processes(2)):
        todo = iter(tasks)
        with executor:
            found.append(dict(executor.run(training_studies._run, lambda todo=todo: next(todo, None))))
    one, two = found
    for task in tasks:
        assert one[task]["loss"] == two[task]["loss"]
        assert one[task]["accuracy"] == two[task]["accuracy"]


def test_rank_correlation():
    value, error = training_studies.rank_correlation([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 5])
    assert value == pytest.approx(1 - 6 * 2 / (6 * 35))
    assert 0.05 < error < 0.3
    # ties by their average rank: the correlation of 1, 2.5, 2.5, 4 with 1, 2, 3, 4
    assert training_studies.rank_correlation([1, 2, 2, 3], [1, 2, 3, 4])[0] == pytest.approx(4.5 / np.sqrt(4.5 * 5))
