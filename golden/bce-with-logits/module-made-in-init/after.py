import torch
import torch.nn as nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.criterion = nn.BCEWithLogitsLoss(reduction="sum")

    def loss(self, scores, target):
        return self.criterion(scores, target)
