import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        return F.softmax(self.fc(x), dim=1)


def train(batches, optimizer):
    model = Net()
    criterion = nn.CrossEntropyLoss()
    for x, y in batches:
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
