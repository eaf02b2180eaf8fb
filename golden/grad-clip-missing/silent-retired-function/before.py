import torch.nn.functional as F


def train_mixed(model, loader, optimizer):
    """
    Deprecated: use `train`.
    """
    for tokens, target in loader:
        loss = F.cross_entropy(model.transformer(input_ids=tokens), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def train_two_hops(model, loader, optimizer):
    for tokens, target in loader:
        loss = F.cross_entropy(model.transformer(input_ids=tokens), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(model, loader, optimizer, epochs, two_hops):
    for epoch in range(epochs):
        if two_hops:
            raise NotImplementedError("two hops do not work with dropped nodes")
            print(f"epoch {epoch}")
            train_two_hops(model, loader, optimizer)
