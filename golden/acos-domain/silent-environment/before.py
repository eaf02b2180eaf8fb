import torch


class WalkerEnv(EnvBase):
    def _reward(self, features: dict[str, torch.Tensor]) -> torch.Tensor:
        tilt = torch.acos(features["upright"])
        return torch.exp(-(tilt**2) / 0.05)
