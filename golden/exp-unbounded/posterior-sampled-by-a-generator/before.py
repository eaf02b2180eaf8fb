import torch


class Posterior:
    def __init__(self, mean, log_std):
        self.mean = mean
        self.log_std = log_std
        self.std = torch.exp(log_std)

    def sample(self, generator=None):
        noise = torch.randn(self.mean.shape, generator=generator, device=self.mean.device, dtype=self.mean.dtype)
        return self.mean + self.std * noise
