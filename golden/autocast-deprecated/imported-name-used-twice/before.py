import torch
from torch.cuda.amp import autocast


def train(model, images, labels, criterion):
    with autocast():
        return criterion(model(images), labels)


def evaluate(model, images):
    with torch.no_grad(), autocast():
        return model(images)
