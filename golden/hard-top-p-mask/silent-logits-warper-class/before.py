import torch


class ExpertTopPLogitsWarper:
    def __init__(self, top_p):
        self.top_p = top_p

    def __call__(self, scores):
        probs, order = scores.softmax(dim=-1).sort(dim=-1, descending=True)
        keep = (probs.cumsum(dim=-1) - probs < self.top_p).float()
        return torch.zeros_like(scores).scatter(-1, order, keep)
