"""What annotation programs write -> label maps; never torch."""
