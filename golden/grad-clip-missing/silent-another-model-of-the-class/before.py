import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForSequenceClassification

from project import GraphSAGE


class CoTraining(nn.Module):
    """A language model and a graph network that take turns on each other's labels."""

    def __init__(self, name, features, classes):
        super().__init__()
        self.lm = AutoModelForSequenceClassification.from_pretrained(name, num_labels=classes)
        self.gnn = GraphSAGE(features, 256, classes)

    def train_gnn(self, loader, optimizer):
        self.gnn.train()
        for batch in loader:
            optimizer.zero_grad()
            out = self.gnn(batch.x, batch.edge_index)
            loss = F.cross_entropy(out[batch.train_mask], batch.y[batch.train_mask])
            loss.backward()
            optimizer.step()
