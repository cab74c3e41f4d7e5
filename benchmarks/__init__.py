"""How fast Orator is, compared with library models of the same size."""
