"""The continuously running consumer that folds events into balances; owns the database."""
