import torch
from torch.utils.data import Dataset


class Transitions(Dataset):
    def __init__(self, data, device):
        self.states = torch.from_numpy(data["observations"]).float().to(device)
        reward = torch.from_numpy(data["rewards"]).view(-1, 1).float().to(device)
        self.rewards = (reward - reward.mean()) / reward.std()

    def __getitem__(self, i):
        return self.states[i], self.rewards[i]

    def __len__(self):
        return len(self.states)
