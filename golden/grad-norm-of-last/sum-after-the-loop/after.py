import torch


class GradientClipper:
    def __init__(self, max_norm, norm_type=2.0):
        self.max_norm = max_norm
        self.norm_type = norm_type

    def __call__(self, model):
        parameters = [p for p in model.parameters() if p.grad is not None]
        total_norm = torch.zeros([], device=parameters[0].device)
        for p in parameters:
            param_norm = p.grad.detach().norm(self.norm_type) ** self.norm_type
            total_norm += param_norm
        total_norm = total_norm ** (1.0 / self.norm_type)
        scale = torch.clamp(self.max_norm / (total_norm + 1e-6), max=1.0)
        for p in parameters:
            p.grad.detach().mul_(scale)
        return total_norm
