import torch
import torch.nn.functional as F


def router_log_probs(logits):
    return torch.log(F.softmax(logits, dim=-1, dtype=torch.float32))
