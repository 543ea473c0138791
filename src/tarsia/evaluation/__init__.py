"""What an evaluation counts, every figure that follows from it, and the report that keeps and shows them."""
