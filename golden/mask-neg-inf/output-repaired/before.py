import torch


class CrossAttention(torch.nn.Module):
    def forward(self, q, k, v, mask=None):
        sim = torch.einsum("bhid,bhjd->bhij", q, k)
        if mask is not None:
            sim = sim.masked_fill(~mask, -float("inf"))
        message = torch.einsum("bhij,bhjd->bhid", sim.softmax(dim=-1), v)
        if mask is not None:
            message = message.nan_to_num()
        return message
