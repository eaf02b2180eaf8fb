import torch


def translation(rows, scale):
    crosses = torch.stack(
        [torch.linalg.cross(rows[:, 0], rows[:, 1]), torch.linalg.cross(rows[:, 1], rows[:, 2])], dim=1
    )
    lengths = torch.linalg.norm(crosses, dim=-1)
    longest = lengths.argmax(dim=1, keepdim=True)
    picked = crosses.gather(1, longest[..., None].expand(-1, -1, 3)).squeeze(1)
    return scale * picked / lengths.gather(1, longest)
