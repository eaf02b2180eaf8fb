import torch


class DepthMetrics:
    def update(self, predicted: torch.Tensor, target: torch.Tensor) -> None:
        difference = torch.log(predicted) - torch.log(target)
        spread = (difference.pow(2).mean() - difference.mean().pow(2)).clamp_min(0.0).sqrt()
        self.rows.append(torch.stack([((predicted - target) ** 2).mean().sqrt(), spread]))
