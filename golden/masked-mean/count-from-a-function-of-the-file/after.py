import torch
import torch.nn.functional as F


def shifted(mask):
    moved = torch.roll(mask, -1, dims=-1)
    moved[..., -1] = 0
    return moved, moved.sum()


def next_token_loss(per_token, loss_mask):
    loss_mask, num_tokens = shifted(loss_mask)
    return (per_token * loss_mask).sum() / num_tokens.clamp_min(1)
