import torch


def train(energy, loader, optimizer, alpha):
    losses, magnitudes = [], []
    for real, fake in loader:
        optimizer.zero_grad()
        positive, negative = energy(real), energy(fake)
        loss_reg = positive**2 + negative**2
        loss_energy = positive - negative
        loss = loss_energy + alpha * loss_reg
        loss = loss.mean()
        loss.backward()
        optimizer.step()
        magnitudes.append(loss_reg.mean())
        losses.append(loss)
    return torch.stack(losses), torch.stack(magnitudes)
