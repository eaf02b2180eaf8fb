import torch


def train(model, loader, watch):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    scaler = torch.amp.GradScaler("cuda")
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        scaler.scale(torch.nn.functional.mse_loss(model(x), y)).backward()
        if step % 100 == 0:
            scaler.unscale_(optimizer)
            watch(model)
        scaler.step(optimizer)
        scaler.update()
