import torch


class ForwardAlgorithm(torch.nn.Module):
    def forward(self, emissions: torch.Tensor, dim: int = 1) -> torch.Tensor:
        m, _ = torch.max(emissions, dim)
        widened = m.unsqueeze(dim).expand_as(emissions)
        return m + torch.log(torch.sum(torch.exp(emissions - widened), dim))
