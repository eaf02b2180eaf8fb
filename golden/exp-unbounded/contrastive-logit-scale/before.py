import torch
from torch import nn


class Contrastive(nn.Module):
    def __init__(self, temperature=0.07):
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(1.0 / temperature).log())

    def forward(self, image, text):
        logit_scale = self.logit_scale.exp()
        logits = logit_scale * image @ text.t()
        return logits, logits.t()
