import torch
import torch.nn.functional as F


class Bernoulli:
    def __init__(self, logits):
        self.logits = logits

    def log_prob(self, x):
        return x * F.logsigmoid(self.logits) + (1 - x) * F.logsigmoid(-self.logits)
