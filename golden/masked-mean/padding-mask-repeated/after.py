import torch


class Confidence(torch.nn.Module):
    def forward(self, plddt, features, multiplicity):
        mask = features["token_pad_mask"].repeat_interleave(multiplicity, 0)
        return (plddt * mask).sum(dim=-1) / mask.sum(dim=-1).clamp_min(1)
