import torch
import torch.nn.functional as F


def score(logits, scale):
    return torch.log(
        F.softmax(
            logits * scale,  # sharpened
            dim=-1,
        )
    )
