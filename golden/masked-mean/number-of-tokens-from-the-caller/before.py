import torch
import torch.nn.functional as F


def language_model_loss(logits, labels, num_label_tokens: int):
    loss = F.cross_entropy(logits, labels, reduction="sum")
    loss = loss / num_label_tokens
    return loss
