"""Learning: torch's side of Inlay, imported by the commands that train, adapt and export and by nothing else."""
