import torch


class InputGate(torch.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = torch.nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = torch.clamp(self.gate(x), min=-5.0, max=5.0)
        return torch.softmax(scores, dim=1)
