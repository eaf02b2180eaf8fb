import torch


def rollout(env, agent, ema, progress, profiler, scheduler, loss_fn, policy):
    for _ in range(100):
        action = agent.act(env.observe())
        reward, done = env.step(action)
        loss = loss_fn(policy, reward)
        loss.backward()
        agent.optim_update(policy)
        ema.step()
        progress.step()
        profiler.step()
        scheduler.step()
