import torch


def train_epoch(model, loader, optimizer, beta):
    model.train()
    total, total_recon, total_kl = 0.0, 0.0, 0.0
    for x in loader:
        optimizer.zero_grad()
        decoded, mean, log_var = model(x)
        recon = torch.nn.functional.mse_loss(decoded, x, reduction="sum") / len(x)
        kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).sum() / len(x)
        loss = recon + beta * kl
        loss.backward()
        optimizer.step()
        total += loss.item()
        total_recon += recon.detach()
        total_kl += kl.detach()
    return total / len(loader), total_recon / len(loader), total_kl / len(loader)
