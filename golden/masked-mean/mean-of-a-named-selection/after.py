import torch
import torch.nn.functional as F


def selected_loss(prediction, target, valid):
    error = (prediction - target).abs()
    chosen = error[valid]
    loss = chosen.mean() if chosen.numel() > 0 else chosen.sum()
    return loss
