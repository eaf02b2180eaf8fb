import torch


class Matcher:
    @torch.no_grad()
    def forward(self, logits):
        prob = logits.sigmoid()
        return -(prob + 1e-8).log()
