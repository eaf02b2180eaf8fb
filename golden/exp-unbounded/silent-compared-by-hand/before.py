import torch


class StateDependentNoise:
    def get_std(self, log_std):
        below = torch.exp(log_std) * (log_std <= 0)
        safe = log_std * (log_std > 0) + 1e-6
        above = (torch.log1p(safe) + 1.0) * (log_std > 0)
        return below + above
