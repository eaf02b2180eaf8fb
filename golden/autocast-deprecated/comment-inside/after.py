import torch


def forward(model, x):
    with torch.amp.autocast(
        "cuda", enabled=model.amp,  # off for the first epoch
    ):
        y = model(x)
    return y
