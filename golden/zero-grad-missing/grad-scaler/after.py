import torch
from torch import nn, optim


def train(model: nn.Module, loader, device="cuda"):
    opt = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler(device)
    for images, labels in loader:
        with torch.autocast(device, dtype=torch.float16):
            loss = nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
        opt.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
