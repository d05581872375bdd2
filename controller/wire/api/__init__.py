"""The JSON forms of the REST interface, by what they are about."""
