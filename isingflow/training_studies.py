"""Studies of trained networks: where they can be trained, what tells it before, and their level curves.

Needs the extra ``train``. Their tasks do not depend on each other, run on one thread each, and can be kept in a folder
as they finish: so a study may be stopped and continued, or be shared out among machines.
"""

import datetime
import io
import zipfile
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from isingflow import executors, files
from isingflow.archive import Archive
from isingflow.diagram import ReconstructedImages, TrainabilityMap
from isingflow.errors import ArchiveError, ParameterError
from isingflow.flow.models import model_flow
from isingflow.flow.network import recorded
from isingflow.flow.published import published_curve
from isingflow.network import meanfield
from isingflow.network.labelled import labelled_digits, labelled_fashion_mnist
from isingflow.network.published import PublishedNetwork
from isingflow.parameters import NetworkParameters, TrainingParameters, key, whole
from isingflow.seeding import checked_seed
from isingflow.study import BIAS_VARIANCE, provenance

QUICK_WEIGHTS, QUICK_DEPTHS = (1.0, 1.4, 1.76, 2.2, 2.6, 3.0), (10, 30, 50, 80)
FULL_WEIGHTS = tuple(np.arange(1.0, 2.86, 0.05).round(2).tolist())
FULL_DEPTHS = tuple(range(10, 71, 3))
CURVE_WEIGHTS = (1.5, 2.0, 2.5, 3.0, 3.5)
"""Weight variances of the grids and of the curves; those and the depths of the full ones are the paper's."""

CURVE_DEPTH = 30
SHOWN_WEIGHTS = (1.0, 1.76, 3.0)
SHOWN_LEVELS = (0, 5, 10, 20, 30)
SHOWN_IMAGES = 4
"""Of the reconstructions that are drawn."""

RESAMPLED = 2000
"""Bootstrap samples of the rank correlation."""


def _network(weight, depth, quick):
    """Constant width, and the classes at the end; narrowing before it as in the paper where there is room."""
    widths = (256,) * depth + (10,) if quick else (784,) * (depth - 1) + (400, 10)
    return NetworkParameters(weight_variance=weight, bias_variance=BIAS_VARIANCE, depth=depth, width=widths)


def _settings(quick):
    return {"epochs": 20 if quick else 15, "source": "digits" if quick else "fashion-mnist"}


def trainability_tasks(*, quick=False) -> tuple:
    """Return the tasks of `trainability`: a network to train for every point of the grid.

    Examples
    --------
    >>> len(trainability_tasks(quick=True)), len(trainability_tasks())
    (24, 798)
    """
    weights, depths = (QUICK_WEIGHTS, QUICK_DEPTHS) if quick else (FULL_WEIGHTS, FULL_DEPTHS)
    return tuple(
        TrainingParameters(network=_network(weight, depth, quick), **_settings(quick))
        for weight in weights
        for depth in depths
    )


def training_tasks(*, quick=False) -> tuple:
    """Return the tasks of `training`: networks of depth 30 in all phases, several of each law.

    Examples
    --------
    >>> len(training_tasks(quick=True))
    20
    """
    return tuple(
        TrainingParameters(network=_network(weight, CURVE_DEPTH, quick), index=index, **_settings(quick))
        for weight in CURVE_WEIGHTS
        for index in range(4 if quick else 8)
    )


def _data(source):
    return labelled_digits() if source == "digits" else labelled_fashion_mnist()


def _seeds(seed, task):
    """Of the weights and of the order of the images."""
    return np.random.SeedSequence([seed, task.index]).generate_state(2).tolist()


def _train_point(item):
    """Train one network: its last test accuracy and loss, and the seconds it took."""
    from isingflow.network.training import GaussianMLP, one_thread, train

    task, seed = item
    data = _data(task.source)
    weights, order = _seeds(seed, task)

    with one_thread():
        model = GaussianMLP(task.network, data.images.shape[1], seed=weights)
        history = train(model, data, epochs=task.epochs, seed=order)
    return {"accuracy": history.test_accuracy[-1], "loss": history.loss[-1], "seconds": history.seconds}


def _reconstruct_all(item):
    """Reconstruct from all levels of the deepest network of a weight variance."""
    from isingflow.network.training import GaussianMLP, one_thread, reconstruct

    task, seed = item
    data = _data(task.source)
    weights, order = _seeds(seed, task)
    model = GaussianMLP(task.network, data.images.shape[1], seed=weights)
    with one_thread():
        found = reconstruct(model, data, seed=order, shown=SHOWN_IMAGES)
    return {name: getattr(found, name) for name in ("value", "error", "ignorant", "pictures", "seconds")}


def trainability(*, seed=1, workers=1, quick=False, progress=None, command="", folder=None, part=(1, 1)) -> Archive:
    """Train networks over a grid of weight variance and depth, and reconstruct the inputs of untrained ones beside it.

    Parameters
    ----------
    seed : int
        Root seed, from 0 to 2**64 - 1.
    workers : int
        Processes, at least 1.
    quick : bool
        Digits, 24 networks of width 256, some minutes; else the paper's 798 of width 784 on Fashion-MNIST.
    progress : callable, optional
        Called with each finished task.
    command : str
        What the archive says it was made by.
    folder : path, optional
        Where finished tasks are kept, and looked for; it is made if it is not there.
    part : pair of int
        ``(k, n)``: only the k-th of n equal shares of the tasks, which needs a folder that all shares have in common.

    Returns
    -------
    Archive or None
        The map, with reconstructed images; None if tasks of other shares are missing in the folder.

    Raises
    ------
    ParameterError
        If an argument is out of range.
    ArchiveError
        If the folder cannot be made or written, or what is kept there cannot be read.
    """
    started = datetime.datetime.now(datetime.UTC)
    seed = checked_seed(seed)
    points = trainability_tasks(quick=quick)
    deepest = max(task.network.depth for task in points)
    cascades = tuple(_cascade_task(task) for task in points if task.network.depth == deepest)
    items = [(_train_point, task, seed) for task in points] + [(_reconstruct_all, task, seed) for task in cascades]
    mine, shares = whole("share", part[0], high=whole("shares", part[1])), part[1]
    if shares > 1 and folder is None:
        raise ParameterError(f"a share of {shares} needs a folder, where all shares meet")
    found = _done(items, folder)
    executor = executors.local(workers)
    todo = [item for number, item in enumerate(items) if number % shares == mine - 1 and item not in found]
    # the deepest first, so that no worker is left alone with one at the end
    todo = iter(sorted(todo, key=lambda item: -item[1].network.depth))
    with executor:
        for item, result in executor.run(_run, lambda: next(todo, None)):
            found[item] = result
            if folder is not None:
                _keep(folder, item, result)
            if progress:
                progress(item[1])
    if len(found) < len(items):
        return None
    trained = [found[_train_point, task, seed] for task in points]
    told = {task.network.weight_variance: found[_reconstruct_all, task, seed] for task in cascades}
    record = _map(points, trained, told)
    pictures = tuple(_pictures(points[0].source, weight, told[weight]) for weight in SHOWN_WEIGHTS if weight in told)
    words = provenance(started, seed, command) | {"figure": "trainability"}
    return Archive(provenance=words, trainability=(record,), reconstructions=pictures)


def _cascade_task(task):
    """The same network without the narrowing at its end: images are reconstructed from levels of one width."""
    network = task.network
    law = NetworkParameters(
        weight_variance=network.weight_variance,
        bias_variance=network.bias_variance,
        depth=network.depth,
        width=network.widths[0],
    )
    return TrainingParameters(network=law, epochs=1, source=task.source)


def _run(item):
    function, task, seed = item
    return function((task, seed))


def _file(folder, item):
    function, task, seed = item
    return Path(folder, f"{function.__name__.strip('_')}-{seed}-{key(task)}.npz")


def _done(items, folder):
    """Results that are in the folder already."""
    if folder is None:
        return {}
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchiveError(f"cannot make the folder {folder}: {error.strerror}") from error
    found = {}
    for item in items:
        path = _file(folder, item)
        if path.exists():
            try:
                with open(path, "rb") as file, np.load(file) as kept:
                    found[item] = dict(kept)
            except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
                raise ArchiveError(f"{path} cannot be read ({error}): remove it, and it is computed again") from error
    return found


def _keep(folder, item, result):
    """Write a result whole or not at all."""
    content = io.BytesIO()
    np.savez(content, **result)
    path = _file(folder, item)
    try:
        files.write_whole(path, content.getbuffer())
    except OSError as error:
        raise ArchiveError(f"cannot write {path}: {error.strerror}") from error


def _map(points, trained, told):
    weights = sorted({task.network.weight_variance for task in points})
    depths = sorted({task.network.depth for task in points})
    place = {(task.network.depth, task.network.weight_variance): number for number, task in enumerate(points)}

    def grid(name):
        return np.array([[trained[place[depth, weight]][name] for weight in weights] for depth in depths], dtype=float)

    def lost(name):
        return np.array([[told[weight][name][depth] for weight in weights] for depth in depths])

    accuracy, loss = grid("accuracy"), lost("value")
    correlation, error = rank_correlation(accuracy.ravel(), -loss.ravel())
    dense = np.linspace(weights[0], weights[-1], 241)
    task = points[0]
    return TrainabilityMap(
        source=task.source,
        width=task.network.widths[0],
        epochs=task.epochs,
        bias_variance=task.network.bias_variance,
        weight_variances=weights,
        depths=depths,
        accuracy=accuracy,
        loss=grid("loss"),
        information_loss=loss,
        information_loss_error=lost("error"),
        ignorant=float(told[weights[0]]["ignorant"]),
        dense=dense,
        xi_c=meanfield.depth_scales(dense, task.network.bias_variance).xi_c,
        correlation=correlation,
        correlation_error=error,
        training_seconds=float(sum(one["seconds"] for one in trained)),
        cascade_seconds=float(sum(one["seconds"] for one in told.values())),
    )


def rank_correlation(x, y) -> tuple[float, float]:
    """Return Spearman's rank correlation, ties by average rank, and a bootstrap error over the points.

    Parameters
    ----------
    x, y : array_like of float
        (points,), at least 4, neither constant.

    Returns
    -------
    tuple of float
        The correlation, and the standard deviation of those of resampled points, those without a correlation left out.

    Examples
    --------
    >>> rank_correlation([1, 2, 3, 4, 4], [2, 4, 6, 8, 8])[0].__round__(12)
    1.0
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    rng = np.random.default_rng(1)
    found = []
    for _ in range(RESAMPLED):
        drawn = rng.integers(len(x), size=len(x))
        if np.ptp(x[drawn]) and np.ptp(y[drawn]):
            found.append(spearmanr(x[drawn], y[drawn]).statistic)
    return float(spearmanr(x, y).statistic), float(np.std(found))


def _pictures(source, weight, told):
    data = _data(source)
    levels = [level for level in SHOWN_LEVELS if level < len(told["pictures"])]
    images = data.test_images[:SHOWN_IMAGES]
    return ReconstructedImages(
        weight_variance=weight,
        levels=levels,
        images=images / images.sum(axis=1, keepdims=True),
        reconstructed=told["pictures"][levels],
    )


def training(*, seed=1, workers=1, quick=False, progress=None, command="") -> Archive:
    """Compare the level curves of networks before and after training, in all phases.

    Parameters and exceptions as for `trainability`; every process trains all networks of one law.

    Returns
    -------
    Archive
        Curves of one input, of two and of the published estimator, untrained and trained. Those of inputs are over the
        neurons of several networks, without the narrow levels at the end; the published one is of the first network.
    """
    started = datetime.datetime.now(datetime.UTC)
    seed = checked_seed(seed)
    tasks = training_tasks(quick=quick)
    items = [
        (tuple(task for task in tasks if task.network.weight_variance == weight), seed)
        for weight in dict.fromkeys(task.network.weight_variance for task in tasks)
    ]
    todo, executor = iter(items), executors.local(workers)
    found = {}
    with executor:
        for item, curves in executor.run(_before_and_after, lambda: next(todo, None)):
            found[item] = curves
            if progress:
                progress(item[0][0])
    words = provenance(started, seed, command) | {"figure": "training"}
    return Archive(tuple(curve for item in items for curve in found[item]), provenance=words)


def _before_and_after(item):
    """Curves of networks of one law before and after their training."""
    from isingflow.network.training import GaussianMLP, one_thread, train

    tasks, seed = item
    data = _data(tasks[0].source)

    with one_thread():
        seeds = [_seeds(seed, task) for task in tasks]
        models = [
            GaussianMLP(task.network, data.images.shape[1], seed=weights)
            for task, (weights, _) in zip(tasks, seeds, strict=True)
        ]
        before = _curves(models, data, tasks[0], seed, label="untrained", epochs=0)
        histories = [
            train(model, data, epochs=task.epochs, seed=order)
            for model, task, (_, order) in zip(models, tasks, seeds, strict=True)
        ]
        accuracy = float(np.mean([history.test_accuracy[-1] for history in histories]))
        told = {"epochs": tasks[0].epochs, "accuracy": accuracy}
        return (*before, *_curves(models, data, tasks[0], seed, label="trained", **told))


def _curves(models, data, task, seed, *, label, **told):
    """Of one test image, of two of other classes, and of the published estimator for the first."""
    other = int(np.argmax(data.test_labels != data.test_labels[0]))
    inputs = data.test_inputs[[0, other]]
    law = recorded(task.network) | {"width": task.network.widths[0], **told}
    wide = [f"layers.{n}" for n, width in enumerate(task.network.widths) if width == task.network.widths[0]]
    about = {"layers": wide, "parameters": law, "control": "weight_variance", "label": label}
    curves = [model_flow(models, inputs[:count], **about) for count in (1, 2)]
    return (*curves, _published(models[0], inputs[:1], task.network, label, seed))


def _published(model, inputs, network, label, seed):
    from isingflow.network.recording import record_layers

    layers = [[one.detach().double().numpy() for one in (layer.weight, layer.bias)] for layer in model.layers]
    values = record_layers(model, inputs).preactivations
    weights, biases = zip(*layers, strict=True)
    one = PublishedNetwork(
        weights=weights,
        biases=biases,
        preactivations=tuple(level[0].astype(np.float64) for level in values),
        weight_variance=network.weight_variance,
        bias_variance=network.bias_variance,
        depth=network.depth + 1,
    )
    return published_curve(one, samples=200, rng=seed, label=label)
