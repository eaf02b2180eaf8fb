import torch


def build(config):
    scaler = torch.cuda.amp.GradScaler(init_scale=2.0**12, enabled=config.fp16)  # beside autocast()
    return scaler
