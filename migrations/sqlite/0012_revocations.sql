-- Each replica asks every second which keys were revoked lately.
CREATE INDEX api_keys_by_revocation ON api_keys (revoke_time) WHERE revoke_time IS NOT NULL;
