import torch


def train(model, loader, loss_fn, seen):
    optimizer = torch.optim.Adam(model.parameters())
    for input_ids, y in loader:
        optimizer.zero_grad()
        out = model(input_ids)
        out.register_hook(lambda grad: seen.append(grad.shape))
        loss_fn(out, y).backward()
        optimizer.step()
