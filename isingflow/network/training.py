"""Random Gaussian networks as PyTorch models, and their training.

Needs the extra ``train``. Training is stochastic gradient descent with momentum on the cross entropy, as of the paper's
networks. With the same seed, machine and number of threads the numbers are the same, whether a run was interrupted or
not.

Reference: Erdmenger, Grosvenor & Jefferson, SciPost Phys. 12, 041 (2022), section 4.
"""

import contextlib
import dataclasses
import functools
import hashlib
import io
import itertools
import time
import zipfile
from pathlib import Path

import numpy as np

try:
    import torch
except ImportError:
    from isingflow.errors import IsingflowError

    raise IsingflowError(
        "networks are trained with the package torch, which is not installed: pip install 'isingflow[train]'"
    ) from None

from torch import nn

from isingflow import files
from isingflow.errors import ArchiveError, ParameterError
from isingflow.network.labelled import LabelledImages
from isingflow.network.recording import called, check_parameters, still
from isingflow.parameters import NetworkParameters, activation, choice, finite, whole
from isingflow.seeding import checked_seed, stream

RATE, MOMENTUM, BATCH = 0.005, 0.8, 64
"""Of the paper's training."""

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}

ACTIVATIONS = {
    "tanh": torch.tanh,
    "erf": torch.erf,
    "relu": torch.relu,
    "hard_tanh": nn.functional.hardtanh,
    "linear": torch.clone,
}


def _function(name):
    kind, below = activation(name)
    return (
        functools.partial(nn.functional.leaky_relu, negative_slope=below) if kind == "leaky_relu" else ACTIVATIONS[kind]
    )


@contextlib.contextmanager
def one_thread():
    """Compute on one thread: torch takes all processors otherwise, and other numbers of threads round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class GaussianMLP(nn.Module):
    """A random network as a model: ``z^0 = W^0 x + b^0``, then ``z^l = W^l phi(z^{l-1}) + b^l``.

    Attributes
    ----------
    network : NetworkParameters
        Its law; the last level gives the classes.
    layers : torch.nn.ModuleList
        The linear maps, ``depth + 1`` of them.

    Parameters
    ----------
    network : NetworkParameters
        Variances, depth, widths, activation and residual strength. The last width is the number of classes.
    features : int
        Of an input.
    seed : int
        Of weights, ``N(0, sigma_w^2 / fan_in)``, and biases, ``N(0, sigma_b^2)``.
    dtype : {"float32", "float64"}
        Of both.

    Raises
    ------
    ParameterError
        If an argument is out of range.

    Examples
    --------
    >>> network = NetworkParameters(weight_variance=1.5, bias_variance=0.05, depth=3, width=(32, 32, 16, 10))
    >>> GaussianMLP(network, 64, seed=1)(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """

    def __init__(self, network: NetworkParameters, features, *, seed, dtype="float32"):
        super().__init__()
        rng = stream(checked_seed(seed), network, "trained network")
        fans = (whole("features", features), *network.widths[:-1])
        self.network = network
        self.layers = nn.ModuleList()
        self._phi = _function(network.activation)
        kind = PRECISIONS[choice("dtype", dtype, PRECISIONS)]
        for fan, width in zip(fans, network.widths, strict=True):
            layer = nn.utils.skip_init(nn.Linear, fan, width, dtype=kind)
            weights = rng.normal(0.0, np.sqrt(network.weight_variance / fan), (width, fan))
            _set(layer, weights, rng.normal(0.0, np.sqrt(network.bias_variance), width))
            self.layers.append(layer)

    @classmethod
    def of(cls, network: NetworkParameters, weights, biases, *, dtype="float64"):
        """Return the model with given weights, as from ``propagate(..., keep="weights")``.

        Parameters
        ----------
        network : NetworkParameters
            Their law.
        weights, biases : sequence of array_like
            For every level (n_l, n_{l-1}) and (n_l,).
        dtype : {"float32", "float64"}
            Of both.

        Raises
        ------
        ParameterError
            If they are not as many or of other shapes.
        """
        if len(weights) != network.depth + 1 or len(biases) != network.depth + 1:
            raise ParameterError(f"{network.depth + 1} levels need as many weights and biases")
        model = cls(network, np.shape(weights[0])[1], seed=0, dtype=dtype)
        for level, (layer, matrix, bias) in enumerate(zip(model.layers, weights, biases, strict=True)):
            if np.shape(matrix) != tuple(layer.weight.shape) or np.shape(bias) != tuple(layer.bias.shape):
                raise ParameterError(
                    f"weights and biases of level {level} must have shapes {tuple(layer.weight.shape)} and "
                    f"{tuple(layer.bias.shape)}, got {np.shape(matrix)} and {np.shape(bias)}"
                )
            _set(layer, matrix, bias)
        return model

    def forward(self, inputs):
        """Return the last level, (n, classes)."""
        for z in self._levels(inputs):
            last = z
        return last

    def _levels(self, inputs):
        """Yield the pre-activations of every level."""
        z = self.layers[0](inputs)
        yield z
        for layer in self.layers[1:]:
            change = layer(self._phi(z))
            z = change + self.network.residual * z if self.network.residual else change
            yield z

    def activations(self, inputs):
        """Return the activations of every level, a list of (n, width)."""
        return [self._phi(z) for z in self._levels(inputs)]


def _set(layer, weights, biases):
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(weights)))
        layer.bias.copy_(torch.from_numpy(np.array(biases)))


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingHistory:
    """What became of a network, epoch by epoch: arrays float64 (epochs,).

    Attributes
    ----------
    loss : numpy.ndarray
        Mean cross entropy over the epoch's batches, nats, before each step.
    accuracy : numpy.ndarray
        Share of the images classified right in the same batches.
    test_accuracy : numpy.ndarray
        Share of the images to test on, after the epoch.
    seconds : float
        Spent in this process, by the clock.
    diverged : bool
        Whether it ended early because the loss was not finite any more.
    """

    loss: np.ndarray
    accuracy: np.ndarray
    test_accuracy: np.ndarray
    seconds: float
    diverged: bool


def train(
    model,
    data: LabelledImages,
    *,
    epochs,
    seed,
    rate=RATE,
    momentum=MOMENTUM,
    batch=BATCH,
    checkpoint=None,
    progress=None,
) -> TrainingHistory:
    """Train a model to tell classes of images, by stochastic gradient descent with momentum on the cross entropy.

    Parameters
    ----------
    model : torch.nn.Module
        From inputs (n, pixels) to classes (n, classes); trained in place, in its precision and on its device.
    data : LabelledImages
        The images; each is shown centred and of unit norm.
    epochs : int
        Passes through all images, at least 1; of a resumed run in all.
    seed : int
        Of the order in which the images are shown, and of what layers like dropout draw.
    rate, momentum : float
        Learning rate, positive, and momentum, from 0 to 0.999.
    batch : int
        Images of a step, at least 1.
    checkpoint : path, optional
        File that holds the state after the last finished epoch, replaced whole. If it is there the run goes on from it;
        the model must be given as it was at the start.
    progress : callable, optional
        ``progress(epoch, history)`` after each epoch.

    Returns
    -------
    TrainingHistory

    Raises
    ------
    ParameterError
        If an argument is out of range, the model does not fit the data, or the checkpoint is of another run: another
        model, other weights at the start, other images or settings.
    ArchiveError
        If the checkpoint cannot be read or written.

    Examples
    --------
    >>> from isingflow.network.labelled import labelled_digits
    >>> network = NetworkParameters(weight_variance=1.8, bias_variance=0.05, depth=2, width=(64, 64, 10))
    >>> history = train(GaussianMLP(network, 64, seed=1), labelled_digits(), epochs=3, seed=1)
    >>> bool(history.test_accuracy[-1] > 0.8)
    True
    """
    _check_model(model, data)
    settings = {
        "seed": checked_seed(seed),
        "rate": finite("rate", rate, above=0.0),
        "momentum": finite("momentum", momentum, low=0.0, high=0.999),
        "batch": whole("batch", batch),
        "images": _digest(data.images, data.labels, data.test_images, data.test_labels),
        "architecture": repr((model, getattr(model, "network", None))),
        "initial weights": _digest(*itertools.chain(*sorted(model.state_dict().items()))),
    }
    epochs = whole("epochs", epochs)
    optimizer = torch.optim.SGD(model.parameters(), lr=settings["rate"], momentum=settings["momentum"])
    like = next(model.parameters())
    inputs, test_inputs = (torch.from_numpy(array).to(like) for array in (data.inputs, data.test_inputs))
    labels, test_labels = (torch.from_numpy(array.copy()).to(like.device) for array in (data.labels, data.test_labels))
    _check_fit(model, test_inputs[:1], data.classes)
    rows, begin = _resumed(checkpoint, settings, model, optimizer), time.perf_counter()
    while len(rows) < epochs and not _diverged(rows):
        order = np.random.default_rng([settings["seed"], len(rows)]).permutation(len(labels))
        with _drawing([settings["seed"], len(rows), 1], like.device):
            loss, right = _epoch(model, optimizer, inputs, labels, torch.from_numpy(order).to(like.device), batch)
            rows.append((loss, right, _accuracy(model, test_inputs, test_labels)))
        if checkpoint is not None:
            _save(checkpoint, settings, model, optimizer, rows)
        if progress:
            progress(len(rows), _history(rows, begin))
    return _history(rows, begin)


def _check_model(model, data):
    if not isinstance(model, nn.Module) or not any(one.is_floating_point() for one in model.parameters()):
        raise ParameterError(f"model must be a torch.nn.Module with parameters, got {type(model).__name__}")
    if not isinstance(data, LabelledImages):
        raise ParameterError(f"data must be LabelledImages, got {type(data).__name__}")
    check_parameters(model)


def _check_fit(model, inputs, classes):
    """Raise if a model does not take images or does not tell as many classes; it is called with one image."""
    with still(model):
        found = called(model, inputs)
    if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != 1 or found.shape[1] < classes:
        got = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise ParameterError(
            f"the model must give (n, classes) with {classes} classes or more, got {got} for one image"
        )


def _digest(*parts):
    """SHA-256 of arrays and tensors with their shapes and types; of anything else by its representation."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            found.update(repr((part.dtype, tuple(part.shape))).encode())
            part = part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        found.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        found.update(b";")
    return found.hexdigest()


@contextlib.contextmanager
def _drawing(seed, device):
    """Seed torch's own generators, of dropout for instance, and put them back."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
        yield


def _epoch(model, optimizer, inputs, labels, order, batch):
    """Show every image once; return mean loss and accuracy before the steps."""
    model.train()
    loss_sum, right = inputs.new_zeros(()), labels.new_zeros(())
    for part in order.split(batch):
        found, wanted = called(model, inputs[part]), labels[part]
        loss = nn.functional.cross_entropy(found, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            loss_sum += loss * len(part)
            right += (found.argmax(dim=1) == wanted).sum()
    return float(loss_sum) / len(labels), float(right) / len(labels)


def _accuracy(model, inputs, labels):
    model.eval()
    with torch.no_grad():
        return float((model(inputs).argmax(dim=1) == labels).to(torch.float64).mean())


def _diverged(rows):
    return bool(rows) and not np.isfinite(rows[-1][0])


def _history(rows, begin):
    loss, accuracy, test_accuracy = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return TrainingHistory(loss, accuracy, test_accuracy, time.perf_counter() - begin, _diverged(rows))


def _resumed(path, settings, model, optimizer):
    """Load model and optimizer from a checkpoint, if there is one; return the rows of the epochs that were."""
    if path is None or not Path(path).exists():
        return []
    try:
        with zipfile.ZipFile(path) as file:
            if (wrong := file.testzip()) is not None:
                raise ValueError(f"{wrong} is damaged")
        found = torch.load(path, weights_only=True)
        saved, rows, weights, momenta = (found[name] for name in ("settings", "rows", "model", "optimizer"))
        different = [name for name, value in settings.items() if saved.get(name) != value]
    except Exception as error:  # of pickles, archives and dictionaries
        raise ArchiveError(
            f"{path} is no readable checkpoint: {type(error).__name__}; remove it to begin anew"
        ) from error
    if different:
        raise ParameterError(
            f"the checkpoint {path} is of another run: {', '.join(different)} differ; name another file, or remove it"
        )
    model.load_state_dict(weights)
    optimizer.load_state_dict(momenta)
    return [tuple(row) for row in rows]


def _save(path, settings, model, optimizer, rows):
    path = Path(path)
    content = {"settings": settings, "rows": [list(row) for row in rows]}
    content |= {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    image = io.BytesIO()
    torch.save(content, image)
    try:
        files.write_whole(path, image.getbuffer())
    except OSError as error:
        raise ArchiveError(f"cannot write {path}: {error.strerror}") from error


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a cascade of reconstructors makes of the activations of every level.

    Attributes
    ----------
    value, error : numpy.ndarray
        float64 (levels,): relative entropy of the images to test on from their reconstructions, as laws over the
        pixels, mean over the images in nats, and the standard error of that mean.
    ignorant : float
        The same from the mean of the images to train on: of a reconstruction that knows nothing of the image.
    pictures : numpy.ndarray
        float64 (levels, shown, pixels): the first test images as reconstructed from every level, shares of their grey.
    seconds : float
        Spent, by the clock.
    """

    value: np.ndarray
    error: np.ndarray
    ignorant: float
    pictures: np.ndarray
    seconds: float


def reconstruct(model: GaussianMLP, data: LabelledImages, *, seed, rate=0.003, batch=16, shown=10) -> Reconstruction:
    """Reconstruct inputs from every level of a network, by a cascade of single layers trained for one epoch each.

    From the activations of a level a layer, linear and then tanh, learns those of the level before, by least squares;
    from those of level 0 one learns the image, as a law over the pixels, by cross entropy. All see the images once,
    with Adam. To reconstruct from a level the layers below it are applied one after the other: what a network of random
    weights still knows of its input is what survives.

    Parameters
    ----------
    model : GaussianMLP
        Untrained or not; it stays as it is. Activations are tanh or erf.
    data : LabelledImages
        Images; labels are not looked at.
    seed : int
        Of the reconstructors and of the order of the images.
    rate : float
        Of Adam, positive.
    batch : int
        Images of a step, at least 1.
    shown : int
        Test images whose reconstructions are returned, at least 1.

    Returns
    -------
    Reconstruction

    Raises
    ------
    ParameterError
        If an argument is out of range or the activation is another.

    References
    ----------
    Thurn, Jefferson & Erdmenger, arXiv:2406.12916.
    """
    if not isinstance(model, GaussianMLP) or model.network.activation not in ("tanh", "erf"):
        raise ParameterError("reconstructors end with tanh: model must be a GaussianMLP with tanh or erf")
    _check_model(model, data)
    rate, batch = finite("rate", rate, above=0.0), whole("batch", batch)
    shown, seed = whole("shown", shown, high=len(data.test_images)), checked_seed(seed)
    begin, like = time.perf_counter(), next(model.parameters())
    laws, test_laws = (
        torch.from_numpy(images / images.sum(axis=1, keepdims=True)).to(like)
        for images in (data.images, data.test_images)
    )
    with torch.no_grad():
        called(model, torch.from_numpy(data.test_inputs[:1]).to(like))
        levels, test_levels = (
            model.activations(torch.from_numpy(one).to(like)) for one in (data.inputs, data.test_inputs)
        )
    back = _reconstructors([data.images.shape[1], *(level.shape[1] for level in levels)], seed, like)
    _train_back(back, levels, laws, seed, rate, batch)
    with torch.no_grad():
        logs = torch.stack([_back_to_image(back, level, n) for n, level in enumerate(test_levels)])
        nats = (torch.xlogy(test_laws, test_laws) - test_laws * logs).sum(dim=2).to(torch.float64)
        nothing = (torch.xlogy(test_laws, test_laws) - torch.xlogy(test_laws, laws.mean(dim=0))).sum(dim=1)
    images = len(data.test_images)
    return Reconstruction(
        nats.mean(dim=1).cpu().numpy(),
        nats.std(dim=1).cpu().numpy() / images**0.5,
        float(nothing.mean()),
        logs[:, :shown].exp().to(torch.float64).cpu().numpy(),
        time.perf_counter() - begin,
    )


def _reconstructors(widths, seed, like):
    """Layers from every level to the one before, drawn as wide ones should be."""
    rng, back = np.random.default_rng([seed, 1]), []
    for before, after in itertools.pairwise(widths):
        layer = nn.utils.skip_init(nn.Linear, after, before, dtype=like.dtype, device=like.device)
        _set(layer, rng.normal(0.0, after**-0.5, (before, after)), np.zeros(before))
        back.append(layer)
    return back


def _train_back(back, levels, laws, seed, rate, batch):
    """One epoch of all reconstructors; none depends on another."""
    optimizer = torch.optim.Adam([one for layer in back for one in layer.parameters()], lr=rate, foreach=True)
    order = torch.from_numpy(np.random.default_rng([seed, 2]).permutation(len(laws))).to(laws.device)
    for part in order.split(batch):
        loss = nn.functional.cross_entropy(back[0](levels[0][part]), laws[part])
        for before, level, layer in zip(levels, levels[1:], back[1:], strict=False):
            loss = loss + nn.functional.mse_loss(torch.tanh(layer(level[part])), before[part])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _back_to_image(back, level, number):
    """Logarithms of the law over the pixels that the cascade makes of a level's activations."""
    for layer in reversed(back[1 : number + 1]):
        level = torch.tanh(layer(level))
    return torch.log_softmax(back[0](level), dim=1)
