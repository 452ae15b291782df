"""Who may log in, register and stay logged in."""
