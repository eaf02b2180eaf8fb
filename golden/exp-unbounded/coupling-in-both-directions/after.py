import torch


class Coupling(torch.nn.Module):
    def forward(self, x, inverse=False):
        a, b = x.chunk(2, dim=1)
        if self.only_mean:
            shift = self.net(a)
            logs = torch.zeros_like(shift)
        else:
            shift, logs = self.net(a).chunk(2, dim=1)
        logs = logs.clamp(min=-10.0, max=10.0)
        if inverse:
            return torch.cat([a, (b - shift) * torch.exp(-logs)], dim=1)
        logdet = logs.sum(dim=(1, 2))
        return torch.cat([a, shift + b * torch.exp(logs)], dim=1), logdet
