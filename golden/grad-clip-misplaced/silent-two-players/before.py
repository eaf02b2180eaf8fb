import torch


def train(generator, critic, loader, opt_g, opt_c, sample):
    optimizer_g, optimizer_c = opt_g, opt_c
    for real in loader:
        optimizer_c.zero_grad()
        fake = generator(sample(len(real)))
        critic_loss = critic(fake.detach()).mean() - critic(real).mean()
        critic_loss.backward()
        torch.nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
        optimizer_c.step()

        optimizer_g.zero_grad()
        generator_loss = -critic(fake).mean()
        generator_loss.backward()
        torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimizer_g.step()
