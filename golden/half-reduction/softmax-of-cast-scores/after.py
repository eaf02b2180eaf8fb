import torch
import torch.nn.functional as F


def attend(scores, value):
    weights = F.softmax(scores.float(), dim=-1).half()
    return weights @ value.half()
