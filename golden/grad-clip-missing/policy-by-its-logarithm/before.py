import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim


class Policy(nn.Module):
    def __init__(self, states, actions, gamma=0.98):
        super().__init__()
        self.data = []
        self.gamma = gamma
        self.hidden = nn.Linear(states, 128)
        self.out = nn.Linear(128, actions)
        self.optimizer = optim.Adam(self.parameters(), lr=2e-4)

    def forward(self, x):
        return F.softmax(self.out(F.relu(self.hidden(x))), dim=-1)

    def put(self, reward, prob):
        self.data.append((reward, prob))

    def train_net(self):
        R = 0
        self.optimizer.zero_grad()
        for reward, prob in reversed(self.data):
            R = reward + self.gamma * R
            loss = -torch.log(prob) * R
            loss.backward()
        self.optimizer.step()
        self.data = []
