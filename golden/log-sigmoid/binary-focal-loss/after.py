import torch


def binary_focal_loss(input, target, alpha=0.25, gamma=2.0):
    probs_pos = input.sigmoid()
    probs_neg = (-input).sigmoid()
    loss = (
        -alpha * probs_neg.pow(gamma) * target * torch.nn.functional.logsigmoid(input)
        - (1 - alpha) * probs_pos.pow(gamma) * (1.0 - target) * torch.nn.functional.logsigmoid(-input)
    )
    return loss.mean()
