import torch


def gradient_penalty(critic, real, fake):
    mix = torch.rand(real.shape[0], 1, 1, 1, device=real.device)
    between = (mix * real + (1 - mix) * fake).requires_grad_()
    (grad,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (grad.flatten(1).norm(dim=1) - 1).square().mean()


def train(generator, critic, loader, latent):
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
    for real in loader:
        fake = generator(torch.randn(real.shape[0], latent, device=real.device))
        loss_d = critic(fake.detach()).mean() - critic(real).mean()
        loss_d = loss_d + 10 * gradient_penalty(critic, real, fake.detach())
        optimizer_d.zero_grad()
        loss_d.backward()
        optimizer_d.step()

        optimizer_g.zero_grad()
        loss_g = -critic(fake).mean()
        loss_g.backward()
        optimizer_g.step()
