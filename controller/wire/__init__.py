"""The JSON forms that server and client share: unknown fields are ignored by clients and refused by the server."""
