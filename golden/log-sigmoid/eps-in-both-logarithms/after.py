import torch


def focal(input, target, alpha: float = 0.25, gamma: float = 2.0, eps: float = 1e-8):
    probs = torch.sigmoid(input)
    loss = -alpha * torch.pow(1.0 - probs, gamma) * target * torch.nn.functional.logsigmoid(input) - (1 - alpha) * torch.pow(
        probs, gamma
    ) * (1.0 - target) * torch.nn.functional.logsigmoid(-input)
    return loss.mean()
