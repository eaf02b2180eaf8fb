import torch


class InputGate(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = torch.nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        strength = torch.exp(torch.clamp(self.gate(x), min=-5.0, max=5.0))
        return strength / (strength.sum(dim=1, keepdim=True) + 1e-6)
