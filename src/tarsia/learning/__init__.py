"""Learning: torch's side of Tarsia, imported by the commands that train, adapt and export and by nothing else."""
