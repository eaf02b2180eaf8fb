from torch import nn


class Head(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.fc = nn.Linear(dim, classes)

    def forward(self, x):
        return self.fc(x)


def build(dim, classes):
    head = Head(dim, classes)
    nn.init.normal_(head.fc.weight, std=0.01)
    return head
