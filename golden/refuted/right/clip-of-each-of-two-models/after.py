import torch


def train(loader):
    opt_g = torch.optim.Adam(gen.parameters())
    opt_d = torch.optim.Adam(disc.parameters())
    for x in loader:
        opt_d.zero_grad()
        loss_d = disc(x)
        loss_d.backward()
        torch.nn.utils.clip_grad_norm_(disc.parameters(), 1.0)
        opt_d.step()
        opt_g.zero_grad()
        loss_g = disc(gen(x))
        loss_g.backward()
        torch.nn.utils.clip_grad_norm_(gen.parameters(), 1.0)
        opt_g.step()
