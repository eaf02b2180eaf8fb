import torch.nn.functional as F
import torch


def attend(scores):
    return F.softmax(scores.half(), dim=-1, dtype=torch.float32)
