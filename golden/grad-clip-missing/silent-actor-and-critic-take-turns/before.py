import torch
import torch.nn.functional as F
import torch.optim as optim

from project import Actor, Critic, memory, env

if __name__ == "__main__":
    actor, critic = Actor(), Critic()
    q_optimizer = optim.Adam(list(critic.parameters()), lr=3e-4)
    actor_optimizer = optim.Adam(list(actor.parameters()), lr=3e-4)
    for step in range(100_000):
        obs, reward, done, info = env.step(actor(env.obs))
        if step > 1000:
            batch = memory.sample()
            q_loss = F.mse_loss(critic(batch.obs, batch.action), batch.target)
            q_optimizer.zero_grad()
            q_loss.backward()
            q_optimizer.step()
            if step % 2 == 0:
                actor_loss = -critic(batch.obs, actor(batch.obs)).mean()
                actor_optimizer.zero_grad()
                actor_loss.backward()
                actor_optimizer.step()
