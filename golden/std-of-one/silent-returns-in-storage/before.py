import torch


class Algorithm:
    def compute_returns(self, last_values):
        storage = self.storage
        advantage = 0
        for step in reversed(range(storage.steps)):
            following = last_values if step == storage.steps - 1 else storage.values[step + 1]
            alive = 1.0 - storage.dones[step].float()
            delta = storage.rewards[step] + alive * self.gamma * following - storage.values[step]
            advantage = delta + alive * self.gamma * self.lam * advantage
            storage.returns[step] = advantage + storage.values[step]
        storage.advantages = storage.returns - storage.values
        storage.advantages = (storage.advantages - storage.advantages.mean()) / (storage.advantages.std() + 1e-8)


def update(parameters, loss):
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
