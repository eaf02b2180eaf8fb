import torch
import torch.nn.functional as F


def router_log_probs(logits):
    return F.log_softmax(logits, dim=-1, dtype=torch.float32)
