import torch
import torch.nn.functional as F


def step_loss(logits, labels, ignore_index=-100):
    loss_sum = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="sum")
    num_tokens = (labels != ignore_index).sum().item()
    return loss_sum / num_tokens
