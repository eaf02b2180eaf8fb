import torch


class Codec(torch.nn.Module):
    @torch.no_grad()
    def fill(self, logits: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
        probs = torch.softmax(logits, dim=-1)
        picked = torch.gather(probs, 1, drawn)
        return -torch.log(picked)
