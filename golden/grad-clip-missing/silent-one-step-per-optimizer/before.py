import torch


def compare(builders, x):
    for build in builders:
        model = build()
        model(x).sum().backward()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.step()
        print([p.mean().item() for p in model.parameters()])
