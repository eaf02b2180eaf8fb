import torch


def smoothed(labels, smoothing):
    num_classes = labels.shape[-1]
    return (1 - smoothing * num_classes / (num_classes - 1)) * labels + smoothing / (num_classes - 1)
