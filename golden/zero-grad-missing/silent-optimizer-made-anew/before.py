import torch


def adapt(make_model, tasks):
    for x, y in tasks:
        model = make_model()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        (model(x) - y).square().mean().backward()
        optimizer.step()
        yield model
