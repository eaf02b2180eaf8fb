import torch


def spread(x, mean):
    std = (
        torch.sqrt(
            ((x - mean) ** 2).mean(0)  # over the batch
        )
        + 1e-5
    )
    return std
