import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int


def weigh(
    loss: Float[torch.Tensor, "batch seq"],
    chosen: Bool[torch.Tensor, "batch seq"],
    sample_id: Int[torch.Tensor, "batch seq"],
):
    together = torch.eq(sample_id.unsqueeze(-1), sample_id.unsqueeze(-2))
    count = reduce(together * rearrange(chosen, "b s -> b 1 s"), "b s t -> b s 1", "sum") * chosen.unsqueeze(-1)
    inverse = torch.where(count == 0, count, 1 / count).sum()
    return (loss * chosen).sum() * inverse
