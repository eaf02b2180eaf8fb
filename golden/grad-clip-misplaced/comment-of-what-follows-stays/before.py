import torch


def fit(model, loader, epochs):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    history = []
    for _ in range(epochs):
        seen, total = 0, 0.0
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs), labels)
            loss.backward()
            optimizer.step()

            # the rest of the turn
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # bounds the update
            seen += len(labels)
            total += loss.item() * len(labels)
        history.append(total / seen)
    return history
