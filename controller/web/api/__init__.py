"""The REST API under /api/v1: one file per noun, the same names as in the layers below."""
