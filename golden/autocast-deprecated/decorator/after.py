import torch


class Attention(torch.nn.Module):
    @torch.amp.autocast("cuda", enabled=False)
    def forward(self, q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float())
