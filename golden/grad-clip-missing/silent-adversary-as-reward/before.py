import torch
import torch.nn.functional as F


def imitate(policy, discriminator, demonstrations, environment, rounds):
    disc_opt = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    for _ in range(rounds):
        rollout = environment.sample(policy)
        for expert, generated in zip(demonstrations, rollout.batches()):
            logits = discriminator(torch.cat([expert, generated]))
            labels = torch.cat([torch.ones(len(expert)), torch.zeros(len(generated))])
            loss = F.binary_cross_entropy_with_logits(logits.squeeze(-1), labels)
            disc_opt.zero_grad()
            loss.backward()
            disc_opt.step()
        rollout.reward = -F.logsigmoid(-discriminator(rollout.states)).detach()
        policy.learn(rollout)
