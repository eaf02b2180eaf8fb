import torch


def epoch_loss(losses, labels, ignore_index=-100):
    kept = labels != ignore_index
    num_tokens = kept.sum().item()
    return losses[kept].sum().item() / num_tokens
