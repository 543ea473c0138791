"""Studies: STUDY.yaml -> the trainings it means, and what of them is there already."""
