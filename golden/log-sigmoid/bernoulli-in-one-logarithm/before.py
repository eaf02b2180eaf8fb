import torch
import torch.nn.functional as F


class Bernoulli:
    def __init__(self, logits):
        self.logits = logits

    def log_prob(self, x):
        log_prob_1 = F.sigmoid(self.logits)
        log_prob_0 = F.sigmoid(-self.logits)
        return torch.log(x * log_prob_1 + (1 - x) * log_prob_0)
