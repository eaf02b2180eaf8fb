import torch
import torch.nn.functional as F


def train(model, loader, optimizer):
    model.train()
    for tokens, labels in loader:
        optimizer.zero_grad()
        logits, aux_loss = model(tokens)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
