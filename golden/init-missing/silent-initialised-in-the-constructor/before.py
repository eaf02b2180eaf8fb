from torch import nn


class Network(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.fc = nn.Linear(features, classes)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        return self.fc(x)
