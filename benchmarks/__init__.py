"""How fast Orator is, beside library models of the same size and beside the processor's peak."""
