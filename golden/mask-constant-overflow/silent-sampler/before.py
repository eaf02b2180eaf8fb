import torch


class NoRepeatLogitsProcessor:
    def __call__(self, input_ids, scores):
        scores = scores.scatter(1, input_ids, -1e9)
        blocked = torch.zeros_like(scores, dtype=torch.bool)
        scores = scores.masked_fill(blocked, -1e9)
        return torch.softmax(scores, dim=-1)
