"""How evenly a mixture of experts used its experts, from the token counts that its training printed or saved."""
