import torch


def forward(encoder, x, enabled):
    with torch.amp.autocast("cuda", enabled=enabled, dtype=torch.bfloat16, cache_enabled=False):
        h = encoder(x)
    return h.float()
