import torch
from torch.cuda.amp import autocast, custom_fwd


class Soft(torch.nn.Module):
    @custom_fwd(cast_inputs=torch.float32)
    def forward(self, x):
        spread = x.std(dim=-1, keepdim=True)
        return x / (spread + 1e-8)


def run(model, x):
    with autocast():
        return model(x)
