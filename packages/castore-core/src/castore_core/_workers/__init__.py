"""Parts of workers that read a queue."""
