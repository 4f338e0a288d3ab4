"""What several networks share: layers, quantisers, entropy models, losses. Needs torch."""
