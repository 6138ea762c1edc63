"""What is written down of a deployment, compared by every program and changed deliberately."""
