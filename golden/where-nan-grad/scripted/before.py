import torch


def unit_lines(lines):
    if torch.jit.is_scripting():
        lines = lines.contiguous()
    nu = lines[..., 0] * lines[..., 0] + lines[..., 1] * lines[..., 1]
    nu = torch.where(nu > 0.0, 1.0 / torch.sqrt(nu), torch.ones_like(nu))
    return lines * nu[..., None]
