import torch
from torch import nn


class Matching(nn.Module):
    def forward(self, similarity):
        confidence = similarity.softmax(2)
        columns = similarity.softmax(1)
        if torch.is_grad_enabled():
            confidence = confidence * columns
        else:
            confidence.mul_(columns)
        return confidence
