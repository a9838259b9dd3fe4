"""What is there only for speed; each part is tested against the plain network and optax."""
