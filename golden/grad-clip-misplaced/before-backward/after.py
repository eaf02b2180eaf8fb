import torch
from torch.nn.utils import clip_grad_norm_


def fit(model, loader, epochs=10):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    for _ in range(epochs):
        for tokens, targets in loader:
            optimizer.zero_grad(set_to_none=True)
            logits = model(tokens)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
            loss.backward()
            clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
