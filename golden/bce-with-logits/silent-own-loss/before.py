import torch


class BCELoss:
    def __call__(self, p, y):
        return ((p - y) ** 2).mean()


def loss(x, y):
    criterion = BCELoss()
    return criterion(torch.sigmoid(x), y)
