"""How much memory a painting may take, and what gives way where there is less."""
