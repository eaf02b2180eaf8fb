import torch


def train_one_epoch(model, optimizer, loader, device, scaler=None):
    model.train()
    for images, targets in loader:
        images = [image.to(device) for image in images]
        targets = [{k: v.to(device) for k, v in target.items()} for target in targets]
        with torch.autocast(device.type, enabled=scaler is not None):
            losses = sum(model(images, targets).values())
        optimizer.zero_grad()
        if scaler is not None:
            scaler.scale(losses).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            losses.backward()
            optimizer.step()
