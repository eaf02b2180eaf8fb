import torch

MASK_VALUE = -1e30


class Span(torch.nn.Module):
    def forward(self, logits, hidden, padding):
        logits = logits.clone()
        logits[padding] = torch.finfo(logits.dtype).min
        return torch.softmax(logits, dim=-1) @ hidden
