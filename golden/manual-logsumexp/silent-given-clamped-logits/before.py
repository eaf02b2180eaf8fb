import torch


def _messages(logits, steps):
    message = torch.zeros_like(logits)
    for _ in range(steps):
        message = logits - torch.logsumexp(message, dim=1, keepdim=True)
    return torch.log(logits.exp().sum(dim=1))


def marginals(assign_logits, steps):
    assign_logits = assign_logits.clamp(min=-40, max=40)
    return _messages(assign_logits, steps)
