"""Rollout manifests from files: YAML or JSON, checked before anything is sent, errors with the line they are on."""

from __future__ import annotations

from typing import Any

from controller.cli.documents import Document, read_document
from controller.wire.manifests import Manifest, manifest_of, plan_of


def read_manifest(name: str) -> Document[Manifest]:
    """The manifest in a file, or on stdin for `-`.

    Raises:
        Failed: it cannot be read, is no YAML, or does not fit; the message names the line and the field.
    """
    return read_document(name, _manifest)


def _manifest(document: Any) -> Manifest:
    manifest = manifest_of(document)
    plan_of(manifest)
    return manifest
