import torch.nn.functional as F
from torch import optim


def train_step(model, optimizer: optim.Optimizer, batch):
    x, y = batch
    loss = F.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()
