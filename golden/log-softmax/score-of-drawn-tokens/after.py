import torch


class Codec(torch.nn.Module):
    @torch.no_grad()
    def fill(self, logits: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        return -torch.log_softmax(logits, dim=-1).gather(1, drawn)
