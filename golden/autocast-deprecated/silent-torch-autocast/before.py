import torch


def forward(model, x):
    # once torch.cuda.amp.autocast
    with torch.autocast(device_type="cuda", dtype=torch.bfloat16):
        return model(x)
