"""Programs that only some deployments have beside ours, each the real one: `make test-operations` installs them."""
