"""Training beside a bare PyTorch loop that does the same, in alternating runs."""

import argparse
import functools
import statistics
import time

import numpy as np
import torch
from torch import nn

from isingflow.network.labelled import labelled_digits
from isingflow.network.training import GaussianMLP, train
from isingflow.parameters import NetworkParameters

RUNS = 7
EPOCHS = 3


def bare(model, inputs, labels, test_inputs, test_labels):
    """What a tutorial would write, without losses or accuracies of the training images."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.005, momentum=0.8)
    for _ in range(EPOCHS):
        model.train()
        for part in torch.randperm(len(inputs)).split(64):
            loss = nn.functional.cross_entropy(model(inputs[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            (model(test_inputs).argmax(dim=1) == test_labels).float().mean()


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main():
    argparse.ArgumentParser(description=__doc__).parse_args()
    data = labelled_digits()
    tensors = [torch.from_numpy(array).float() for array in (data.inputs, data.test_inputs)]
    labels = [torch.from_numpy(array.copy()) for array in (data.labels, data.test_labels)]
    print(
        f"{EPOCHS} epochs of {len(data.labels)} digits, {torch.get_num_threads()} threads; medians of {RUNS} paired "
        "runs"
    )
    for width, depth in ((256, 10), (256, 50), (784, 30)):
        law = NetworkParameters(weight_variance=1.76, bias_variance=0.05, depth=depth, width=(width,) * depth + (10,))
        times = []
        for seed in range(RUNS + 1):
            models = [GaussianMLP(law, 64, seed=seed) for _ in range(2)]
            ours = seconds(functools.partial(train, models[0], data, epochs=EPOCHS, seed=seed))
            theirs = seconds(functools.partial(bare, models[1], tensors[0], labels[0], tensors[1], labels[1]))
            times.append((ours, theirs))
        ours, theirs = np.array(times[1:]).T
        ratios = np.sort(theirs / ours)
        images = EPOCHS * len(data.labels) / np.median(ours)
        print(
            f"  width {width}, depth {depth}: {images:8.0f} images/s, {statistics.median(ratios):.2f} of the bare loop "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
