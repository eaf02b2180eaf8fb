import torch


def forward(encoder, x, enabled):
    with torch.cuda.amp.autocast(enabled=enabled, dtype=torch.bfloat16, cache_enabled=False):
        h = encoder(x)
    return h.float()
