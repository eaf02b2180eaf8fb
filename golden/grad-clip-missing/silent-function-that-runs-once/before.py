import torch
from project import MoE, dummy_data


def train(x, y, model, loss_fn, optim):
    y_hat, aux_loss = model(x.float())
    loss = loss_fn(y_hat, y) + aux_loss
    optim.zero_grad()
    loss.backward()
    optim.step()
    print(f"loss: {loss.item():.2f}")
    return model


model = MoE(1000, 20, num_experts=10, hidden_size=64, k=4, noisy_gating=True)
optim = torch.optim.Adam(model.parameters())
x, y = dummy_data(5, 1000, 20)
model = train(x, y, model, torch.nn.CrossEntropyLoss(), optim)
