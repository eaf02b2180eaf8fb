import torch
import torch.nn.functional as F


def selected_loss(prediction, target, valid):
    error = (prediction - target).abs()
    chosen = error[valid]
    loss = chosen.mean()
    return loss
