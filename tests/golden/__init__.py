"""Golden records: what small fixed runs gave once, so that no number changes unseen. See README.md."""
