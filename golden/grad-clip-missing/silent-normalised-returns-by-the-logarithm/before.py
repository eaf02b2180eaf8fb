import torch

from project import Policy, play


def reinforce(env, states, actions, episodes, gamma=0.99):
    policy = Policy(states, actions)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    for _ in range(episodes):
        rewards, probs = play(env, policy)
        returns, G = [], 0.0
        for reward in reversed(rewards):
            G = reward + gamma * G
            returns.insert(0, G)
        returns = torch.tensor(returns)
        returns = (returns - returns.mean()) / (returns.std() + 1e-6)
        loss = -(torch.log(probs) * returns).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
