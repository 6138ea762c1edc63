"""What tests are written with: servers, histories, the oracle, hostile input."""
