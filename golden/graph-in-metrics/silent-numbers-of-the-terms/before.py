import torch


def train(model, loader, optimizer, beta):
    reconstruction, divergence, outputs = [], [], []
    for x in loader:
        optimizer.zero_grad()
        decoded, mean, log_var = model(x)
        loss_recon = torch.nn.functional.mse_loss(decoded, x)
        loss_kl = -0.5 * (1 + log_var - mean.square() - log_var.exp()).mean()
        loss = loss_recon + beta * loss_kl
        loss.backward()
        optimizer.step()
        reconstruction.append(loss_recon.item())
        divergence.append(loss_kl.detach().mean())
        outputs.append(decoded.detach())
    return reconstruction, divergence, outputs
