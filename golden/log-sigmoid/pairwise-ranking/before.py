import torch.nn as nn


class BPRLoss(nn.Module):
    def forward(self, positive, negative):
        gap = positive - negative
        return -gap.sigmoid().log().mean()
