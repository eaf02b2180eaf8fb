from torch import nn


class Codec(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, input_values):
        mono = input_values.mean(1, keepdim=True)
        scale = mono.pow(2).mean(dim=-1, keepdim=True).sqrt() + 1e-8
        return self.encoder(input_values / scale)
