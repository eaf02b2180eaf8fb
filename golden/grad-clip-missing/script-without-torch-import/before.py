from torch import optim

from project import build_model, data, loss_fn

net = build_model()
optimizer = optim.Adam(net.parameters(), lr=1e-3)
for input_ids, y in data():
    optimizer.zero_grad()
    loss = loss_fn(net(input_ids), y)
    loss.backward()
    optimizer.step()
