import torch


class Critic(torch.nn.Module):
    def forward(self, features):
        return features / self.encode(features).norm()
