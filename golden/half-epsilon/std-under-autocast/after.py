import torch
from torch import nn


class Standardiser(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images):
        with torch.autocast("cuda", dtype=torch.float16):
            features = self.encoder(images)
            spread = features.std(dim=-1, keepdim=True)
            centred = features - features.mean(dim=-1, keepdim=True)
            return centred / spread.clamp_min(torch.finfo(spread.dtype).eps)
