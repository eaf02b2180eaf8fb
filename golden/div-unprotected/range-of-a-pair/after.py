import torch


def rescale(scores):
    lowest = scores.min(dim=1, keepdim=True)[0]
    highest = scores.max(dim=1, keepdim=True)[0]
    return (scores - lowest) / (highest - lowest).clamp_min(torch.finfo(torch.result_type(scores, 1.0)).eps)


def train(model, batch, targets):
    loss = torch.nn.functional.mse_loss(rescale(model(batch)), targets)
    loss.backward()
    return loss.detach()
