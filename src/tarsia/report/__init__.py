"""What Tarsia draws of a result: figures (`figures.py`) and one self-contained HTML page (`page.py`)."""
