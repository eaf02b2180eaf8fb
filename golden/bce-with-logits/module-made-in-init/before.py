import torch
import torch.nn as nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.criterion = nn.BCELoss(reduction="sum")

    def loss(self, scores, target):
        return self.criterion(torch.sigmoid(scores), target)
