import torch


def report(logger, loss):
    logger.log(torch.exp(loss).clamp(max=1e4))
